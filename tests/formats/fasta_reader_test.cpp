#include "tests/formats/read_records.h"

namespace strandwave {
namespace {

using Records = std::vector<TestRecord>;

ReadResult read_fasta(std::string const& text, index_t max_symbols = kWhole) {
    TemporaryFolder const folder;
    return read_file(folder.write("a.fa", text), max_symbols);
}

void expect_refused(std::string const& text, ErrorCode code, std::string const& words) {
    auto const result = read_fasta(text);
    ASSERT_TRUE(result.error) << testing::PrintToString(text);
    EXPECT_EQ(result.error->code(), code) << result.error->message();
    EXPECT_NE(result.error->message().find(words), std::string::npos) << result.error->message();
}

TEST(FastaReader, takes_the_first_word_as_name_and_the_rest_as_description) {
    EXPECT_EQ(read_fasta(">a b  c\nA\n>\td e\nC\n").records, (Records{{"a", "b  c", "A"}, {"d", "e", "C"}}));
}

TEST(FastaReader, reads_a_header_without_name) {
    EXPECT_EQ(read_fasta(">\nACGT\n").records, (Records{{"", "", "ACGT"}}));
}

TEST(FastaReader, gives_a_record_without_bases_as_one_empty_chunk) {
    EXPECT_EQ(read_fasta(">a\n>b\n\n\n>c\nA").records, (Records{{"a", "", ""}, {"b", "", ""}, {"c", "", "A"}}));
}

TEST(FastaReader, keeps_case_stops_and_gaps) {
    EXPECT_EQ(read_fasta(">a\nacGTn\n*-\n").records, (Records{{"a", "", "acGTn*-"}}));
}

TEST(FastaReader, passes_over_blanks_empty_lines_and_carriage_returns) {
    EXPECT_EQ(read_fasta("\r\n\n>a\r\nAC GT \r\n\r\n\tA\r\n").records, (Records{{"a", "", "ACGTA"}}));
}

TEST(FastaReader, allows_names_that_repeat) {
    EXPECT_EQ(read_fasta(">a\nA\n>a\nC\n").records, (Records{{"a", "", "A"}, {"a", "", "C"}}));
}

TEST(FastaReader, finds_no_records_in_white_space) {
    auto const result = read_fasta("\n \r\n");
    EXPECT_FALSE(result.error);
    EXPECT_TRUE(result.records.empty());
}

TEST(FastaReader, refuses_what_is_no_sequence_and_says_where) {
    expect_refused("ACGT\n>a\nA\n", ErrorCode::malformed_input, "line 1, byte 0");
    expect_refused("; old\n>a\nA\n", ErrorCode::malformed_input, "';'");
    expect_refused(">a\nAC\n;x\nGT\n", ErrorCode::malformed_input, "line 3, byte 6");
    expect_refused(std::string(">a\nAC\0GT\n", 9), ErrorCode::malformed_input,
                   "line 2, byte 5: record 1 (a) has byte 0x00");
    expect_refused(">a\nAC>b\nGT\n", ErrorCode::malformed_input, "line 2, byte 5");
    expect_refused(">a\nAC1\n", ErrorCode::malformed_input, "'1'");
    expect_refused(">a\nAC\n >b\nGT\n", ErrorCode::malformed_input, "line 3, byte 7");
    expect_refused(">a\nA\xc3\xa9\n", ErrorCode::malformed_input, "byte 0xc3");
}

TEST(FastaReader, refuses_old_macintosh_line_ends) {
    expect_refused(">a\rACGT\r>b\rAC\r", ErrorCode::truncated_input, "header line");
    expect_refused(">a\rACGT\r>b\rAC\r\n", ErrorCode::malformed_input, "byte 0x0d");
    for (index_t const max_symbols : {index_t{1}, index_t{2}, index_t{3}, kWhole}) {
        auto const result = read_fasta(">a\nAC\rGT\n", max_symbols);
        ASSERT_TRUE(result.error) << "in chunks of " << max_symbols;
        EXPECT_EQ(result.error->code(), ErrorCode::malformed_input) << result.error->message();
    }
}

TEST(FastaReader, refuses_a_file_that_ends_inside_a_header) {
    expect_refused(">a\nACGT\n>b", ErrorCode::truncated_input, "line 3, byte 8");
    expect_refused(">", ErrorCode::truncated_input, "line 1");
}

TEST(FastaReader, bounds_the_header) {
    std::string const longest(std::size_t{1} << 20, 'x');
    EXPECT_EQ(read_fasta(">" + longest + "\nA\n").records, (Records{{longest, "", "A"}}));
    expect_refused(">" + longest + "x\nA\n", ErrorCode::malformed_input, "longer than 1048576 bytes");
}

TEST(FastaReader, reads_lines_longer_than_any_buffer) {
    std::string bases;
    for (index_t i = 0; i < 1000003; ++i) {
        bases += "ACGT"[(i * i) % 7 % 4];
    }
    for (auto const* line_end : {"\n", "\r\n", ""}) {
        EXPECT_EQ(read_fasta(">a" + std::string("\n") + bases + line_end, 4096).records, (Records{{"a", "", bases}}));
    }
}

} // namespace
} // namespace strandwave
