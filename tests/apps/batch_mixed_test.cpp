#include "tests/apps/batch_support.h"
#include "tests/support/started_program.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <unistd.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

// Sanitized programs are several times as slow; what differs between files they see in fewer of them too.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kFiles = 100;
#elif defined(__has_feature)
constexpr int kFiles = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ? 100 : 1000;
#else
constexpr int kFiles = 1000;
#endif

/// Where tens of thousands of files are quick to make: in memory, where there is a file system of that with room.
fs::path quick_folder() {
    constexpr std::uintmax_t kRoom = std::uintmax_t{1} << 30;
    fs::path const memory = "/dev/shm";
    std::error_code none;
    auto const space = fs::space(memory, none);
    return !none && space.available > kRoom && ::access(memory.c_str(), W_OK) == 0 ? memory : fs::temp_directory_path();
}

/// Many small files of all kinds that a batch reads, whole and damaged, run in every way that may not matter.
class MixedBatchTest : public BatchProgramTest {
protected:
    MixedBatchTest() : BatchProgramTest(quick_folder()) {}

    /// mix/: `count` files of DNA, and one of several blocks.
    void make_sequences(int count) {
        for (int i = 0; i < count; ++i) {
            write_sequences(next_name(), i % 20);
        }
        compressed_file("mix/big.fa.gz", many_records());
    }
    /// mix/: `count` files of alignments and one of two blocks.
    void make_alignments(int count) {
        for (int i = 0; i < count; ++i) {
            switch (auto const name = next_name(); i % 6) {
            case 0: fixture("bam/valid.bam", name + ".bam"); break;
            case 1: cut(fixture("bam/valid.bam", name + ".bam"), number(1, 60)); break;
            case 2: fixture("bam/empty.bam", name + ".bam"); break;
            case 3: file(name + ".fa", fasta("no_alignment", "ACGT")); break;
            default: file(name + ".sam", alignments(number(0, 12))); break;
            }
        }
        file("mix/big.sam", alignments(9000));
    }
    /// mix/: `count` recordings.
    void make_sounds(int count) {
        for (int i = 0; i < count; ++i) {
            auto const sound = wav(number(1, 3000), number(1, 3), 8000 * number(1, 3));
            switch (auto const name = next_name(); i % 6) {
            case 0: fixture("flac/valid.flac", name + ".flac"); break;
            case 1: fixture("flac/truncated.flac", name + ".flac"); break;
            case 2: cut(file(name + ".wav", sound), number(1, 40)); break;
            case 3: file(name + ".wav", i % 4 == 3 ? "" : wav(0, 1, 8000)); break;
            default: file(name + ".wav", sound); break;
            }
        }
    }

    /// Runs the batch of mix/ in many ways, and compares what is written with what one thread writes. Some of its
    /// files must fail. `chunks`: positions fed at once; `shards`: how many.
    void expect_same_bytes(std::string const& task, Strings const& formats, Strings const& chunks,
                           std::vector<int> const& shards) {
        task_ = task;
        formats_ = formats;
        EXPECT_EQ(run_all({{"-O", "one", "--threads", "1"}}), std::vector<int>{1});
        for (auto const& chunk : chunks) {
            std::vector<Strings> runs;
            for (std::string const threads : {"1", "2", "8"}) {
                runs.push_back({"-O", "c" + chunk + "t" + threads, "--chunk", chunk, "--threads", threads});
            }
            EXPECT_EQ(run_all(runs), std::vector<int>(3, 1));
            for (auto const& run : runs) {
                EXPECT_EQ(differences("one", run[1]), "") << run[1];
            }
        }
        for (int const count : shards) {
            expect_same_of_shards("files", count);
            expect_same_of_shards("records", count);
        }
        expect_same_in_stages();
    }

    int number(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

private:
    std::string next_name() {
        static constexpr std::array<char const*, 8> kFolders = {"",           "sub/",      "deep er/",  "a/b/c/",
                                                                "new\nline/", "\xc3\xbc/", "\xff\xfe/", "'quo\"te'/"};
        auto const i = names_++;
        return std::string("mix/") + kFolders[i % kFolders.size()] + (i % 11 == 0 ? "x y_" : "x") + std::to_string(i);
    }
    std::string some_bases(int most) { return bases(number(0, most), static_cast<std::uint32_t>(number(1, 1 << 30))); }
    std::string reads(int most) {
        std::string text;
        for (int i = number(1, most); i > 0; --i) {
            text += fastq("read" + std::to_string(i) + " described", some_bases(90));
        }
        return text;
    }
    std::string sequences() {
        std::string text;
        for (int i = number(0, 4); i > 0; --i) {
            text += fasta("seq" + std::to_string(i), some_bases(300));
        }
        return text;
    }
    void write_sequences(Path const& name, int kind) {
        auto const named = [&name](char const* ending) { return Path(name) += ending; };
        switch (kind) {
        case 0: compressed_file(named(".fa.gz"), sequences()); break;
        case 1: cut(compressed_file(named(".fastq.gz"), reads(6)), number(1, 40)); break;
        case 2: file(named(".sam"), alignments(number(0, 9))); break;
        case 3: fixture("bam/valid.bam", named(".bam")); break;
        case 4: cut(fixture("bam/valid.bam", named(".bam")), number(1, 60)); break;
        case 5: fixture("fastq/valid.fq.gz", named(".fq.gz")); break;
        case 6: cut(fixture("fasta/valid_two_members.fa.gz", named(".fa.gz")), number(0, 20)); break;
        case 7: fixture("cram/valid_no_reference.cram", named(".cram")); break;
        case 8: file(named(".fq"), ""); break;
        case 9: file(named(".fa"), fasta("evil", "ACJGT") + sequences()); break;
        case 10: cut(file(named(".fq"), reads(5)), number(1, 30)); break;
        case 11: file(named(".fa"), fasta("none", "") + fasta("n", "NNnnacgt") + fasta("no name", "A")); break;
        case 12: file(named(".fasta"), "no FASTA"); break;
        default: kind % 2 == 0 ? file(named(".fa"), sequences()) : file(named(".fq"), reads(8)); break;
        }
    }
    Path fixture(Path const& from, Path const& to) const {
        fs::create_directories((path() / to).parent_path());
        fs::copy_file(Path(STRANDWAVE_SOURCE_DIR) / "data" / "formats" / from, path() / to);
        return path() / to;
    }
    static void cut(Path const& file, int bytes) {
        BatchProgramTest::cut(file, std::min<std::uintmax_t>(fs::file_size(file), static_cast<std::uintmax_t>(bytes)));
    }

    Strings arguments(Strings const& how) const {
        return batch_arguments(task_, joined(joined({"mix"}, formats_), how));
    }
    /// Side by side, as on a cluster; their exit codes.
    std::vector<int> run_all(std::vector<Strings> const& hows) const {
        std::vector<std::unique_ptr<StartedProgram>> runs;
        for (auto const& how : hows) {
            runs.push_back(std::make_unique<StartedProgram>(path(), arguments(how)));
        }
        std::vector<int> codes;
        for (auto const& run : runs) {
            codes.push_back(run->wait());
        }
        return codes;
    }
    void expect_same_of_shards(std::string const& by, int count) const {
        auto const all = by + std::to_string(count);
        std::vector<Strings> runs;
        Strings folders{all};
        for (int i = count; i > 0; --i) { // their order does not matter
            folders.push_back(all + "_" + std::to_string(i));
            runs.push_back({"-O", folders.back(), "--shard", std::to_string(i) + "/" + std::to_string(count),
                            "--shard-by", by, "--threads", "1"});
        }
        run_all(runs);
        auto const merged = merge(folders);
        EXPECT_EQ(merged.exit_code, 1) << all << ": " << merged.err;
        EXPECT_EQ(differences("one", all), "") << all;
    }
    /// Ended in the midst by SIGTERM, gone on with and ended by SIGKILL, gone on with.
    void expect_same_in_stages() const {
        Strings const how{"-O", "stages", "--resume", "--threads", "2"};
        auto const journal = path() / "stages" / "journal.jsonl";
        auto const whole = fs::file_size(path() / "one" / "journal.jsonl");
        int stage = 0;
        for (int const signal : {SIGTERM, SIGKILL}) {
            auto const part = whole * static_cast<std::uintmax_t>(++stage) / 3;
            StartedProgram run(path(), arguments(how));
            while (!run.ended()) {
                std::error_code not_yet;
                auto const bytes = fs::file_size(journal, not_yet);
                if (!not_yet && bytes > part) {
                    run.send(signal);
                    break;
                }
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
            }
            auto const code = run.wait();
            EXPECT_TRUE(code == 128 + signal || code == 1) << code << ": " << run.errors(); // 1: it was faster
        }
        EXPECT_EQ(run_all({how}), std::vector<int>{1});
        EXPECT_EQ(differences("one", "stages"), "");
    }

    std::mt19937 random_{5};
    std::size_t names_ = 0;
    std::string task_;
    Strings formats_;
};

TEST_F(MixedBatchTest, AThousandFilesOfSequences) {
    make_sequences(kFiles);
    expect_same_bytes("classify", {"--format", "tsv", "--bgzf"}, {"16384", "777"}, {2, 3, 7});
    EXPECT_EQ(rows("one/summary.tsv").size(), kFiles + 1U) << "a line end in a name ends no row";
}

TEST_F(MixedBatchTest, CopiesOfRecords) {
    make_sequences(40);
    expect_same_bytes("classify", {"--format", "split,jsonl"}, {"777"}, {3});
}

TEST_F(MixedBatchTest, TaggedAlignments) {
    make_alignments(24);
    expect_same_bytes("classify", {"--format", "bam,bed"}, {"777"}, {3});
}

TEST_F(MixedBatchTest, Vectors) {
    make_sequences(40);
    expect_same_bytes("embed", {"--format", "npz"}, {"777"}, {3});
}

TEST_F(MixedBatchTest, WindowsOfSound) {
    model_ = make_sound_model(path());
    make_sounds(24);
    expect_same_bytes("classify", {"--format", "audacity,tsv", "--window", "0.1s", "--hop", "0.05s"}, {"777"}, {3});
}

} // namespace
} // namespace strandwave
