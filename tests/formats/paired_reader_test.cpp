#include "formats/paired_reader.h"

#include "tests/formats/read_records.h"

namespace strandwave {
namespace {

using Mates = std::vector<TestRecord>;

class PairedReader : public testing::TestWithParam<index_t> { // bases a chunk
protected:
    std::unique_ptr<SequenceReader> open(std::string const& name, std::string const& content) const {
        return std::move(open_input(folder_.write(name, content), {})->sequence);
    }
    ReadResult pair(std::string const& first, std::string const& second) const {
        auto const reader = pair_readers(open("r1.fq", first), open("r2.fq", second), "r1.fq", "r2.fq");
        return read_all(*reader, GetParam(), 2);
    }
    ReadResult interleaved(std::string const& content) const {
        return read_all(*check_interleaved(open("both.fq", content), "both.fq"), GetParam(), 2);
    }
    static void expect_error(ReadResult const& result, ErrorCode code, std::string const& words) {
        ASSERT_TRUE(result.error) << words;
        EXPECT_EQ(result.error->code(), code) << result.error->message();
        EXPECT_NE(result.error->message().find(words), std::string::npos) << result.error->message();
    }

    TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(ChunkSizes, PairedReader, testing::Values(1, 2, 7, 4096, kWhole));

std::string read_of(std::string const& header, std::string const& bases) {
    return "@" + header + "\n" + bases + "\n+\n" + std::string(bases.size(), 'I') + "\n";
}

TEST_P(PairedReader, gives_the_mates_in_turn) {
    auto const result = pair(read_of("a/1 x", "ACGTACGTA") + read_of("b/1", "") + read_of("c/1", "A"),
                             read_of("a/2 y", "TTT") + read_of("b/2", "GG") + read_of("c/2", ""));
    EXPECT_FALSE(result.error) << result.error->message();
    EXPECT_EQ(result.records, (Mates{{"a", "x", "ACGTACGTA"},
                                     {"a", "y", "TTT"},
                                     {"b", "", ""},
                                     {"b", "", "GG"},
                                     {"c", "", "A"},
                                     {"c", "", ""}}));
}

TEST_P(PairedReader, takes_one_file_with_the_mates_in_turn) {
    auto const result = interleaved(read_of("a/1", "ACG") + read_of("a/2", "TTT") + read_of("b 1:N:0:ACGT", "A") +
                                    read_of("b 2:N:0:ACGT", "C"));
    EXPECT_FALSE(result.error) << result.error->message();
    EXPECT_EQ(result.records,
              (Mates{{"a", "", "ACG"}, {"a", "", "TTT"}, {"b", "1:N:0:ACGT", "A"}, {"b", "2:N:0:ACGT", "C"}}));
}

TEST_P(PairedReader, takes_names_without_a_number) {
    EXPECT_EQ(pair(read_of("a", "A") + read_of("b 1 length=1", "A"), read_of("a", "C") + read_of("b 1 length=1", "C"))
                  .records.size(),
              4U);
    EXPECT_EQ(interleaved(read_of("a/3", "A") + read_of("a/3", "A")).records,
              (Mates{{"a/3", "", "A"}, {"a/3", "", "A"}}));
}

TEST_P(PairedReader, has_no_records_of_empty_files) {
    EXPECT_FALSE(pair("", "").error);
    EXPECT_FALSE(interleaved("").error);
    EXPECT_TRUE(pair("", "").records.empty());
}

TEST_P(PairedReader, refuses_names_that_differ) {
    auto const result =
        pair(read_of("a/1", "ACG") + read_of("b/1", "ACG"), read_of("a/2", "ACG") + read_of("c/2", "ACG"));
    expect_error(result, ErrorCode::malformed_input, "r2.fq: record 2 (c) is not the mate of record 2 (b) of r1.fq");
    EXPECT_EQ(result.records.size(), 3U);
    expect_error(interleaved(read_of("a", "A") + read_of("a", "A") + read_of("b", "A") + read_of("c", "A")),
                 ErrorCode::malformed_input, "both.fq: record 4 (c) is not the mate of record 3 (b);");
}

TEST_P(PairedReader, refuses_the_same_mate_twice) {
    for (auto const* header : {"a/2", "a 2:N:0:ACGT", "a 2:Y:0:ACGT"}) {
        expect_error(pair(read_of(header, "ACG"), read_of(header, "ACG")), ErrorCode::malformed_input,
                     "r2.fq: record 1 (a) says that it is mate 2, and so does record 1 (a) of r1.fq");
        expect_error(interleaved(read_of(header, "ACG") + read_of(header, "ACG")), ErrorCode::malformed_input,
                     "both.fq: record 2 (a) says that it is mate 2, and so does record 1 (a);");
    }
}

TEST_P(PairedReader, refuses_a_record_without_mate) {
    auto const two = read_of("a/1", "ACG") + read_of("b/1", "ACG");
    auto const one = read_of("a/2", "ACG");
    expect_error(pair(two, one), ErrorCode::truncated_input, "r1.fq: record 2 (b) has no mate: r2.fq has no record 2");
    expect_error(pair(one, two), ErrorCode::truncated_input, "r2.fq: record 2 (b) has no mate: r1.fq has no record 2");
    expect_error(pair("", one), ErrorCode::truncated_input, "r2.fq: record 1 (a) has no mate: r1.fq has no record 1");
    expect_error(interleaved(two + read_of("a/2", "ACG")), ErrorCode::malformed_input, "record 2 (b)");
    expect_error(interleaved(read_of("a/1", "ACG") + read_of("a/2", "ACG") + read_of("b/1", "")),
                 ErrorCode::truncated_input, "both.fq: record 3 (b) has no mate: the file ends behind it");
}

TEST_P(PairedReader, passes_on_what_its_files_say) {
    auto const cut = read_of("a/2", "ACG").substr(0, 8);
    expect_error(pair(read_of("a/1", "ACG"), cut), ErrorCode::truncated_input, "record 1 (a/2) ends");
    expect_error(pair("", "no FASTQ"), ErrorCode::malformed_input, "");
    expect_error(interleaved(read_of("a/1", "ACG") + cut), ErrorCode::truncated_input, "record 2 (a/2) ends");
}

TEST_P(PairedReader, adds_up_what_was_skipped) {
    std::string const header = "@SQ\tSN:chr1\tLN:100\n";
    auto const line = [](std::string const& name, int flag) {
        return name + "\t" + std::to_string(flag) + "\tchr1\t1\t60\t3M\t*\t0\t0\tACG\t*\n";
    };
    auto const first = header + line("a", 65) + line("a", 65 + 256);
    auto const second = header + line("a", 129) + line("a", 129 + 2048) + line("a", 129 + 256);
    auto const reader = pair_readers(open("r1.sam", first), open("r2.sam", second), "r1.sam", "r2.sam");
    auto const result = read_all(*reader, GetParam(), 2);
    EXPECT_EQ(result.records, (Mates{{"a", "1", "ACG"}, {"a", "2", "ACG"}}));
    EXPECT_EQ(result.skipped, 3);
}

} // namespace
} // namespace strandwave
