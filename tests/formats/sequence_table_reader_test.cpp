#include "tests/formats/read_records.h"

namespace strandwave {
namespace {

using Records = std::vector<TestRecord>;

ReadResult read_table(std::string const& text, index_t max_symbols = kWhole, std::string const& name = "train.csv") {
    TemporaryFolder const folder;
    return read_file(folder.write(name, text), max_symbols);
}

void expect_refused(std::string const& text, ErrorCode code, std::string const& words) {
    for (index_t const max_symbols : {index_t{1}, index_t{3}, kWhole}) {
        auto const result = read_table(text, max_symbols);
        ASSERT_TRUE(result.error) << testing::PrintToString(text);
        EXPECT_EQ(result.error->code(), code) << result.error->message();
        EXPECT_NE(result.error->message().find(words), std::string::npos) << result.error->message();
    }
}

TEST(SequenceTableReader, reads_rows_at_any_chunk_size) {
    Records const expected = {
        {"train_1", "label=0", "ACGTACGTA"}, {"train_2", "label=enhancer", "acN-*"}, {"train_3", "label=-1.5e3", ""}};
    std::string const text = "sequence,label\nACGTACGTA,0\nacN-*,enhancer\n,-1.5e3\n";
    for (index_t const max_symbols : {index_t{1}, index_t{2}, index_t{7}, index_t{4096}, kWhole}) {
        auto const result = read_table(text, max_symbols);
        EXPECT_FALSE(result.error);
        EXPECT_EQ(result.records, expected) << max_symbols;
    }
}

TEST(SequenceTableReader, reads_tabs_carriage_returns_empty_lines_and_a_last_line_without_end) {
    Records const expected = {{"a_1", "label=x", "AC"}, {"a_2", "label=y", "G"}};
    EXPECT_EQ(read_table("sequence\tlabel\nAC\tx\nG\ty", kWhole, "a.tsv").records, expected);
    EXPECT_EQ(read_table("\r\nsequence,label\r\nAC,x\r\n\r\n\r\nG,y\r\n", kWhole, "a.CSV").records, expected);
}

TEST(SequenceTableReader, a_table_without_rows_has_no_records) {
    for (auto const* text : {"sequence,label", "sequence,label\n", "sequence,label\n\n"}) {
        auto const result = read_table(text);
        EXPECT_FALSE(result.error);
        EXPECT_TRUE(result.records.empty());
    }
}

TEST(SequenceTableReader, fasta_in_a_file_of_that_name_stays_fasta) {
    EXPECT_EQ(read_table(">a b\nAC\n").records, (Records{{"a", "b", "AC"}}));
}

TEST(SequenceTableReader, refuses_another_header) {
    for (auto const* text :
         {"label,sequence\n", "sequence,label,extra\n", "sequence\tlabel\n", "ACGT,1\n", "sequence,labe"}) {
        expect_refused(text, ErrorCode::malformed_input, "line 1, byte 0: a table of sequences begins with");
    }
    expect_refused("", ErrorCode::truncated_input, "is empty");
}

TEST(SequenceTableReader, names_line_and_byte_of_what_is_wrong) {
    std::string const head = "sequence,label\nAC,1\n";
    auto const refuse = [&](std::string const& rest, std::string const& words) {
        expect_refused(head + rest, ErrorCode::malformed_input, words);
    };
    refuse("A C,1\n", "line 3, byte 21: record 2 has byte 0x20 in its sequence");
    refuse("AC1,1\n", "line 3, byte 22: record 2 has '1' in its sequence");
    refuse("\"AC\",1\n", "line 3, byte 20: record 2 has '\"' in its sequence");
    refuse("AC;1\n", "';' in its sequence");
    refuse("AC\n", "line 3, byte 22: record 2 has no label");
    refuse("AC,\n", "record 2 has no label");
    refuse(",\n", "record 2 has no label");
    refuse("AC,1,2\n", "line 3, byte 24: record 2 has ',' in its label");
    refuse("AC,a b\n", "byte 0x20 in its label");
    refuse("AC,\"a\"\n", "'\"' in its label");
    refuse(std::string("AC,\0\n", 5), "byte 0x00 in its label");
}

TEST(SequenceTableReader, gives_the_records_before_an_error) {
    auto const result = read_table("sequence,label\nAC,1\nA?,1\n");
    EXPECT_EQ(result.records, (Records{{"train_1", "label=1", "AC"}}));
    EXPECT_TRUE(result.error);
}

TEST(SequenceTableReader, a_cut_before_a_label_is_truncated_at_every_byte) {
    // Cut inside "label" or right behind a row the text is a whole table, and nothing tells.
    std::string const text = "sequence,label\nACGT,one\nGG,two\n";
    for (std::size_t cut = 14; cut < text.size(); ++cut) {
        auto const result = read_table(text.substr(0, cut), 2);
        bool const in_row = (cut >= 16 && cut <= 20) || (cut >= 25 && cut <= 27);
        EXPECT_EQ(result.error.has_value(), in_row) << "cut to " << cut;
        if (result.error) { EXPECT_EQ(result.error->code(), ErrorCode::truncated_input) << cut; }
    }
}

TEST(SequenceTableReader, a_line_that_does_not_end_is_refused_in_bounded_memory) {
    expect_refused("sequence,label\n" + std::string((std::size_t{16} << 20) + 1, 'A') + ",1\n",
                   ErrorCode::malformed_input, "line is longer than 16777216 bytes");
}

} // namespace
} // namespace strandwave
