// Peak memory does not grow with the record: the promise that lets a chromosome through a laptop.
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

/// One record of `bases` pseudo-random letters, written line by line: this process must stay smaller than its child,
/// because a child starts with its parent's peak.
void write_fasta(fs::path const& path, std::int64_t bases) {
    std::mt19937 random(7);
    std::ofstream out(path);
    out << ">one record\n";
    std::string line;
    while (bases > 0) {
        line.resize(static_cast<std::size_t>(bases < 80 ? bases : 80));
        for (char& letter : line) {
            letter = "ACGT"[random() & 3U];
        }
        out << line << '\n';
        bases -= static_cast<std::int64_t>(line.size());
    }
    out.close();
    ASSERT_TRUE(out.good()) << path;
}

/// Runs the program; returns its peak resident bytes, -1 if it did not end with 0.
std::int64_t peak_bytes(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), STRANDWAVE_PROGRAM);
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    pid_t const child = ::fork();
    if (child < 0) { return -1; }
    if (child == 0) {
        ::execv(argv[0], argv.data());
        ::_exit(127);
    }
    int status = 0;
    rusage usage{};
    if (::wait4(child, &status, 0, &usage) != child) { return -1; }
    bool const done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return done ? static_cast<std::int64_t>(usage.ru_maxrss) * 1024 : -1;
}

class Memory : public testing::Test {
protected:
    void SetUp() override {
        std::string name = (fs::temp_directory_path() / "strandwave-memory-XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder = name;
    }
    void TearDown() override { fs::remove_all(folder); }

    fs::path folder;
};

TEST_F(Memory, PeakDoesNotGrowWithTheRecord) {
    fs::path const model = folder / "model";
    std::string const config = STRANDWAVE_SOURCE_DIR "/tests/install/config.json";
    ASSERT_GT(peak_bytes({"init", "--config", config, "--seed", "1", "-o", model.string()}), 0);

    auto const embed = [&](std::int64_t bases) {
        fs::path const input = folder / (std::to_string(bases) + ".fa");
        write_fasta(input, bases);
        std::int64_t const peak =
            peak_bytes({"embed", "--model", model.string(), "--threads", "2", "--device", "cpu", input.string(), "-o",
                        (folder / (std::to_string(bases) + ".npy")).string()});
        fs::remove(input);
        return peak;
    };
    std::int64_t const short_peak = embed(4'000'000);
    std::int64_t const long_peak = embed(40'000'000);
    ASSERT_GT(short_peak, 0);
    ASSERT_GT(long_peak, 0);
    RecordProperty("short_peak_bytes", std::to_string(short_peak));
    RecordProperty("long_peak_bytes", std::to_string(long_peak));
    EXPECT_LT(long_peak, std::int64_t{1} << 30);
    EXPECT_LT(static_cast<double>(long_peak), 1.05 * static_cast<double>(short_peak));
}

} // namespace
