#include "formats/quality_trim.h"
#include "lib/core/random.h"
#include "tests/formats/read_records.h"

namespace strandwave {
namespace {

using Records = std::vector<TestRecord>;

ReadResult read_fastq(std::string const& text, index_t max_symbols = kWhole) {
    TemporaryFolder const folder;
    return read_file(folder.write("a.fq", text), max_symbols);
}

void expect_refused(std::string const& text, ErrorCode code, std::string const& words) {
    for (index_t const max_symbols : {index_t{1}, index_t{3}, kWhole}) {
        auto const result = read_fastq(text, max_symbols);
        ASSERT_TRUE(result.error) << testing::PrintToString(text);
        EXPECT_EQ(result.error->code(), code) << result.error->message();
        EXPECT_NE(result.error->message().find(words), std::string::npos) << result.error->message();
    }
}

TEST(FastqReader, reads_four_lines_a_record) {
    EXPECT_EQ(read_fastq("@a b\nAC\n+\n!~\n@c\nG\n+c\n@\n").records, (Records{{"a", "b", "AC"}, {"c", "", "G"}}));
}

// Records of four plain lines are read at once, all others line by line; both kinds in one file, over many buffers.
TEST(FastqReader, reads_plain_and_odd_records_side_by_side) {
    std::vector<std::string> const odd = {"@w x y\nAC\nGT\n+\nIIII\n", "@e\n\n+\n\n",
                                          "@c\r\nAC\r\n+\r\nII\r\n",   "@p q\nACG\n+p\n@@@\n\n\n",
                                          "@t\tu v\nA\n+t\tu v\nI\n",  "@\nN\n+\nI\n"};
    Records const odd_records = {{"w", "x y", "ACGT"}, {"e", "", ""},     {"c", "", "AC"},
                                 {"p", "q", "ACG"},    {"t", "u v", "A"}, {"", "", "N"}};
    std::string text;
    Records expected;
    for (std::size_t i = 0; i < 6000; ++i) {
        auto const number = std::to_string(i);
        auto const length = i * 7919 % 301 + 1;
        text += "@read" + number + " of run\n" + std::string(length, "ACGTNacgt*-"[i % 11]) + "\n+\n" +
                std::string(length, static_cast<char>('!' + i % 94)) + "\n";
        expected.push_back({"read" + number, "of run", std::string(length, "ACGTNacgt*-"[i % 11])});
        if (i % 5 == 0) {
            text += odd[i / 5 % odd.size()];
            expected.push_back(odd_records[i / 5 % odd.size()]);
        }
    }
    for (index_t const max_symbols : {index_t{100}, index_t{301}, kWhole}) {
        auto const result = read_fastq(text, max_symbols);
        ASSERT_FALSE(result.error) << result.error->message();
        ASSERT_EQ(result.records, expected);
    }
    for (auto const& broken :
         {"@x y\nAC GT\n+\nIIIII\n", "@x y\nACGT\n+\nIII\n", "@x\x01 y\nA\n+\nI\n", "@x\nA\n-\nI\n"}) {
        auto const result = read_fastq(text + broken + text);
        ASSERT_TRUE(result.error) << broken;
        EXPECT_EQ(result.error->code(), ErrorCode::malformed_input);
        EXPECT_EQ(result.records, expected);
    }
}

TEST(FastqReader, reads_wrapped_records_with_markers_in_the_quality) {
    EXPECT_EQ(read_fastq("@a\nAC\nGT\nA\n+\n@\n+\n@II\n@b\nC\n+\nI").records,
              (Records{{"a", "", "ACGTA"}, {"b", "", "C"}}));
}

TEST(FastqReader, reads_records_without_bases) {
    EXPECT_EQ(read_fastq("@a\n\n+\n\n@b\n+\n@c\nA\n+\nI\n@d\n\n+\n").records,
              (Records{{"a", "", ""}, {"b", "", ""}, {"c", "", "A"}, {"d", "", ""}}));
}

TEST(FastqReader, reads_carriage_returns_and_empty_lines_between_records) {
    EXPECT_EQ(read_fastq("\r\n@a\r\nAC\r\n+a\r\nII\r\n\r\n\r\n@b\r\nA\r\n+\r\nI\r\n").records,
              (Records{{"a", "", "AC"}, {"b", "", "A"}}));
}

TEST(FastqReader, the_plus_line_may_repeat_the_header_or_its_name) {
    EXPECT_EQ(read_fastq("@a b\nA\n+a b\nI\n@c d\nA\n+c\nI\n").records.size(), 2U);
    expect_refused("@a b\nA\n+a c\nI\n", ErrorCode::malformed_input, "record 1 (a) has another name");
}

TEST(FastqReader, refuses_quality_and_sequence_of_different_length) {
    expect_refused("@a\nACG\n+\nII\n@b\nA\n+\nI\n", ErrorCode::malformed_input, "record 1 (a)");
    expect_refused("@a\nACG\n+\nIIII\n@b\nA\n+\nI\n", ErrorCode::malformed_input, "record 1 (a)");
    expect_refused("@a\nACG\n+\nIII\nI\n@b\nA\n+\nI\n", ErrorCode::malformed_input, "record 1 (a)");
    expect_refused("@a\nACG\n+\n\n@b\nA\n+\nI\n", ErrorCode::malformed_input, "record 1 (a)");
    expect_refused("@a\n\n+\nI\n", ErrorCode::malformed_input, "record 1 (a)");
}

TEST(FastqReader, refuses_letters_and_qualities_that_cannot_be) {
    expect_refused("@a\nA C\n+\nIII\n", ErrorCode::malformed_input, "line 2, byte 4: record 1 (a) has byte 0x20");
    expect_refused("@a\nACG\n+\nI I\n", ErrorCode::malformed_input, "line 4, byte 10: record 1 (a) has byte 0x20");
    expect_refused(std::string("@a\nACG\n+\nI\0I\n", 13), ErrorCode::malformed_input, "byte 0x00 in its quality");
    expect_refused("@a\nACG\n+\nI\x7fI\n", ErrorCode::malformed_input, "byte 0x7f in its quality");
    expect_refused("@a\nAC\n@b\nAC\n+\nII\n", ErrorCode::malformed_input, "'@' in its sequence");
}

TEST(FastqReader, refuses_text_where_a_record_should_begin) {
    expect_refused("@a\nA\n+\nI\n>b\nA\n", ErrorCode::malformed_input, "record 1 (a)");
}

TEST(FastqReader, tells_a_cut_from_an_end_at_every_byte) {
    std::string const text = "@a b\nACGT\n+\nIIII\n@c\nAC\n+\nII\n";
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
        auto const result = read_fastq(text.substr(0, cut), 2);
        bool const between_records = cut == 16 || cut == 17 || cut == text.size() - 1;
        EXPECT_EQ(!result.error, between_records) << "cut to " << cut;
        if (result.error) { EXPECT_EQ(result.error->code(), ErrorCode::truncated_input) << result.error->message(); }
    }
}

TEST(FastqReader, gives_the_bases_of_a_long_read_before_its_quality_is_known_but_not_its_last) {
    TemporaryFolder const folder;
    auto input = open_input(folder.write("a.fq", "@a\nACGTAC\n+\nIIIII\n"), {});
    SequenceChunk chunk;
    EXPECT_EQ(input->sequence->next(chunk, 4).value(), ReadOutcome::chunk);
    EXPECT_FALSE(chunk.last);
    auto const outcome = input->sequence->next(chunk, 4);
    ASSERT_FALSE(outcome.has_value());
    EXPECT_EQ(outcome.error().code(), ErrorCode::truncated_input);
}

ReadResult read_trimmed(std::string const& text, int trim_quality, index_t max_symbols = kWhole) {
    TemporaryFolder const folder;
    InputOptions options;
    options.sequence.trim_quality = trim_quality;
    return read_file(folder.write("a.fq", text), max_symbols, options);
}

TEST(FastqReader, trims_the_end_by_quality_in_any_chunks) {
    // Qualities less 10: 32 30 16 17 -2 -3 1 -6 -8 -7; from the end the sum of the last six is the lowest.
    std::string const worn = "@a x\nACGT\nACGTAC\n+\nKI;<\n)(,%#$\n";
    std::string const text = worn + "@b\nACGT\n+\n!!!I\n" + worn + "@c\nACG\n+\n!!!\n@d\n\n+\n\n@e\nACGT\n+\nII+*\n";
    for (index_t const max_symbols : {index_t{1}, index_t{2}, index_t{3}, index_t{4}, kWhole}) {
        auto const result = read_trimmed(text, 10, max_symbols);
        EXPECT_FALSE(result.error) << result.error->message();
        EXPECT_EQ(result.records, (Records{{"a", "x", "ACGT"},
                                           {"b", "", "ACGT"},
                                           {"a", "x", "ACGT"},
                                           {"c", "", ""},
                                           {"d", "", ""},
                                           {"e", "", "ACG"}}));
    }
    EXPECT_EQ(read_trimmed(worn, 0).records, (Records{{"a", "x", "ACGTACGTAC"}}));
}

TEST(FastqReader, trims_where_the_sum_is_largest) {
    Random random(7);
    for (int round = 0; round < 300; ++round) {
        std::vector<int> quality(random.bits() % 40);
        for (int& value : quality) {
            value = static_cast<int>(random.bits() % 42);
        }
        int const threshold = 1 + static_cast<int>(random.bits() % 41);
        auto const sum_from = [&](std::size_t first) {
            int sum = 0;
            for (std::size_t i = first; i < quality.size(); ++i) {
                sum += threshold - quality[i];
            }
            return sum;
        };
        std::size_t expected = quality.size();
        for (std::size_t cut = quality.size(); cut-- > 0 && sum_from(cut) >= 0;) {
            if (sum_from(cut) > sum_from(expected)) { expected = cut; }
        }
        auto const kept = trimmed_length(static_cast<index_t>(quality.size()), threshold,
                                         [&](index_t i) { return quality[static_cast<std::size_t>(i)]; });
        ASSERT_EQ(kept, static_cast<index_t>(expected)) << testing::PrintToString(quality) << " at " << threshold;
    }
}

TEST(FastqReader, refuses_when_trimming_what_it_refuses_else) {
    for (auto const* text : {"@a\nACG\n+\nII\n@b\nA\n+\nI\n", "@a\nACG\n+\nIII\nI\n", "@a\nACG\n+\nI I\n"}) {
        EXPECT_EQ(read_trimmed(text, 10).error.value_or(Error(ErrorCode::io, "")).code(), ErrorCode::malformed_input);
    }
    auto const cut = read_trimmed("@b\nA\n+\nI\n@a\nACG\n+\nII", 10);
    EXPECT_EQ(cut.records, (Records{{"b", "", "A"}}));
    EXPECT_EQ(cut.error.value_or(Error(ErrorCode::io, "")).code(), ErrorCode::truncated_input);
}

TEST(FastqReader, trims_no_record_that_is_too_long_to_hold) {
    auto const text = "@a\nA\n+\nI\n@b\n" + std::string((std::size_t{1} << 26) + 1, 'A') + "\n+\n";
    auto const result = read_trimmed(text, 10);
    EXPECT_EQ(result.records.size(), 1U);
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->code(), ErrorCode::too_large);
    EXPECT_NE(result.error->message().find("record 2 (b) has more than 67108864 bases"), std::string::npos)
        << result.error->message();
}

} // namespace
} // namespace strandwave
