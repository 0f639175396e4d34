#include "formats/bgzf_source.h"
#include "tests/formats/read_records.h"

#include <chrono>
#include <fcntl.h>
#include <future>
#include <htslib/bgzf.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strandwave {
namespace {

/// `text` compressed by htslib: mode "w" gives BGZF, "wg" gzip.
std::string compress(std::string const& text, char const* mode) {
    TemporaryFolder const folder;
    auto const path = folder.path() / "compressed";
    BGZF* const stream = bgzf_open(path.c_str(), mode);
    if (bgzf_write(stream, text.data(), text.size()) < 0) { throw std::runtime_error("cannot compress"); }
    bgzf_close(stream);
    return file_bytes(path);
}

std::string fasta_text() {
    std::string text = ">a\n";
    std::uint32_t state = 1; // bases that do not compress away, over some BGZF blocks
    for (int i = 0; i < 300000; ++i) {
        state = state * 1664525 + 1013904223;
        text += "ACGT"[state >> 30];
        if (i % 70 == 69) { text += '\n'; }
    }
    return text + "\n";
}

Error expect_refused(std::string const& bytes, int threads = 0) {
    InputOptions options;
    options.sequence.decompression_threads = threads;
    TemporaryFolder const folder;
    auto const from_file = read_file(folder.write("a.fa.gz", bytes), 4096, options);
    Pipe const pipe(bytes);
    auto const from_pipe = read_file(pipe.path(), 4096, options);
    EXPECT_TRUE(from_file.error && from_pipe.error);
    return from_file.error.value_or(Error(ErrorCode::io, "was accepted"));
}

class BgzfSourceTest : public testing::TestWithParam<int> {}; // threads

TEST_P(BgzfSourceTest, refuses_a_stream_cut_anywhere) {
    auto const text = fasta_text();
    for (auto const* mode : {"w", "wg"}) {
        auto const bytes = compress(text, mode);
        for (std::size_t const keep :
             {std::size_t{1} * 2, std::size_t{17}, std::size_t{18}, std::size_t{19}, bytes.size() / 3, bytes.size() / 2,
              bytes.size() - 29, bytes.size() - 28, bytes.size() - 27, bytes.size() - 8, bytes.size() - 1}) {
            auto const error = expect_refused(bytes.substr(0, keep), GetParam());
            EXPECT_TRUE(error.code() == ErrorCode::truncated_input || error.code() == ErrorCode::malformed_input)
                << mode << " cut to " << keep << ": " << error.message();
        }
    }
}

/// Reads compressed `bytes` until they are refused, and expects the start of `text` in front of that.
Error expect_refused_late(std::string const& bytes, std::string const& text, int threads) {
    TemporaryFolder const folder;
    BgzfSource source(open_file_bytes(folder.write("a.fa.gz", bytes)), "a", threads);
    std::string read;
    std::optional<Error> refused;
    try {
        for (auto piece = source.next(); !piece.empty(); piece = source.next()) {
            read.append(piece.data(), piece.size());
        }
    } catch (Error const& error) { refused = error; }
    EXPECT_TRUE(refused) << "the damage was not seen";
    EXPECT_GT(read.size(), text.size() / 2);
    EXPECT_TRUE(read == text.substr(0, read.size()));
    EXPECT_THROW(source.next(), Error) << "the next time too";
    auto const error = refused.value_or(Error(ErrorCode::io, "was accepted"));
    EXPECT_NE(error.message().find("after " + std::to_string(read.size()) + " bytes"), std::string::npos);
    return error;
}

TEST_P(BgzfSourceTest, gives_what_stands_before_the_cut) {
    auto const text = fasta_text();
    auto const bytes = compress(text, "wg");
    auto const error = expect_refused_late(bytes.substr(0, bytes.size() * 3 / 4), text, GetParam());
    EXPECT_EQ(error.code(), ErrorCode::truncated_input);
}

TEST_P(BgzfSourceTest, gives_the_blocks_before_a_damaged_one) {
    auto const text = fasta_text();
    auto bytes = compress(text, "w");
    auto& byte = bytes[bytes.size() * 9 / 10];
    byte = static_cast<char>(byte ^ 1);
    EXPECT_EQ(expect_refused_late(bytes, text, GetParam()).code(), ErrorCode::malformed_input);
}

TEST_P(BgzfSourceTest, refuses_bytes_behind_the_end) {
    for (auto const* mode : {"w", "wg"}) {
        for (auto const& garbage : {std::string("garbage"), std::string(100, 'x'), std::string(100, '\0')}) {
            expect_refused(compress(">a\nACGT\n", mode) + garbage, GetParam());
        }
    }
}

TEST_P(BgzfSourceTest, refuses_a_changed_byte) {
    auto const bytes = compress(fasta_text(), "w");
    for (std::size_t position = 20; position < bytes.size(); position += 9973) {
        auto changed = bytes;
        changed[position] = static_cast<char>(changed[position] ^ 1);
        expect_refused(changed, GetParam());
    }
}

TEST_P(BgzfSourceTest, reads_members_one_behind_the_other) {
    InputOptions options;
    options.sequence.decompression_threads = GetParam();
    TemporaryFolder const folder;
    for (auto const* mode : {"w", "wg"}) {
        auto const path =
            folder.write("a.fa.gz", compress(">a\nAC", mode) + compress("", mode) + compress("GT\n>b\nC\n", mode));
        auto const result = read_file(path, kWhole, options);
        EXPECT_FALSE(result.error) << result.error->message();
        EXPECT_EQ(result.records, (std::vector<TestRecord>{{"a", "", "ACGT"}, {"b", "", "C"}}));
    }
}

/// A pipe that is open for both ways, so that it neither ends nor waits for somebody to open it.
TEST(BgzfSource, waits_for_no_more_than_comes) {
    auto const text = fasta_text();
    for (auto const& bytes : {std::string(">a\nACGTACGTACGTACGTACGT\n"), compress(text, "w").substr(0, 60000)}) {
        TemporaryFolder const folder;
        auto const path = folder.path() / "pipe";
        ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
        int const writer = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        ASSERT_EQ(::write(writer, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
        auto first = std::async(std::launch::async, [&path] {
            BgzfSource source(open_file_bytes(path), "a", 0);
            auto const piece = source.next();
            return std::string(piece.data(), piece.size());
        });
        auto const outcome = first.wait_for(std::chrono::seconds(20));
        ::close(writer); // whoever still waits sees the end
        EXPECT_EQ(outcome, std::future_status::ready);
        try {
            auto const piece = first.get();
            EXPECT_FALSE(piece.empty());
            EXPECT_EQ(piece, (bytes[0] == '>' ? bytes : text).substr(0, piece.size()));
        } catch (Error const& error) { ADD_FAILURE() << error.message(); }
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, BgzfSourceTest, testing::Values(0, 1, 3));

} // namespace
} // namespace strandwave
