#include "lib/encode/nucleotide_encoder.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/simd_targets.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using Ids = std::vector<std::int32_t>;

Ids encode(NucleotidePolicy policy, std::string_view letters) {
    Ids ids;
    NucleotideCounts counts;
    NucleotideEncoder(policy).encode(letters, ids, counts).value();
    return ids;
}

// The published tokenizers' tables.
TEST(NucleotideEncoder, VocabulariesAreThePublishedOnes) {
    EXPECT_EQ(encode({.vocabulary = Vocabulary::caduceus}, "ACGTN"), (Ids{7, 8, 9, 10, 11}));
    EXPECT_EQ(encode({.vocabulary = Vocabulary::plantcaduceus}, "ACGTN"), (Ids{3, 4, 5, 6, 2}));
    EXPECT_EQ(encode({.vocabulary = Vocabulary::nucleotide}, "ACGTN"), (Ids{0, 1, 2, 3, 4}));
}

TEST(NucleotideEncoder, LowerCaseIsReadMaskedOrRefused) {
    EXPECT_EQ(encode({.lower_case = LowerCase::upper}, "aCgtn"), encode({}, "ACGTN"));
    EXPECT_EQ(encode({.lower_case = LowerCase::mask}, "aCgT"), encode({}, "NCNT"));
    EXPECT_EQ(encode({.lower_case = LowerCase::mask, .n = AmbiguousBase::skip}, "aCgT"), encode({}, "CT"));
    EXPECT_THROW(encode({.lower_case = LowerCase::error}, "ACg"), Error);
}

TEST(NucleotideEncoder, AmbiguousLettersFollowTheirPolicies) {
    EXPECT_EQ(encode({.n = AmbiguousBase::skip}, "NANNCN"), encode({}, "AC"));
    EXPECT_THROW(encode({.n = AmbiguousBase::error}, "AN"), Error);
    EXPECT_EQ(encode({}, "RYSWKMBDHV"), Ids(10, 11));
    EXPECT_EQ(encode({.iupac = IupacCode::unknown}, "RYSWKMBDHV"), Ids(10, 6));
    EXPECT_EQ(encode({.vocabulary = Vocabulary::plantcaduceus, .iupac = IupacCode::unknown}, "R"), Ids{2});
    EXPECT_EQ(encode({.n = AmbiguousBase::skip}, "ARC"), encode({}, "AC"));
    EXPECT_THROW(encode({.iupac = IupacCode::error}, "R"), Error);
    EXPECT_EQ(encode({}, "UAu"), encode({}, "TAT"));
    EXPECT_THROW(encode({.uracil = Uracil::error}, "U"), Error);
}

// Runs of A, C, G and T are encoded in blocks; every length and every place of another letter, against one by one.
void expect_that_blocks_give_what_single_letters_give() {
    Random random(7);
    for (auto const& policy :
         {NucleotidePolicy{}, NucleotidePolicy{.vocabulary = Vocabulary::nucleotide, .n = AmbiguousBase::skip},
          NucleotidePolicy{.vocabulary = Vocabulary::plantcaduceus, .lower_case = LowerCase::mask}}) {
        NucleotideEncoder const encoder(policy);
        for (std::size_t length = 0; length < 200; ++length) {
            std::string letters(length, ' ');
            auto const odd_one_in = 1 + random.below(100);
            for (char& letter : letters) {
                letter =
                    random.below(odd_one_in) == 0 ? "acgtnNURYSWKMBDHV"[random.below(17)] : "ACGT"[random.below(4)];
            }
            Ids whole{42};
            Ids singly{42};
            NucleotideCounts whole_counts;
            NucleotideCounts single_counts;
            encoder.encode(letters, whole, whole_counts).value();
            for (std::size_t i = 0; i < length; ++i) {
                encoder.encode(std::string_view(letters).substr(i, 1), singly, single_counts).value();
            }
            ASSERT_EQ(whole, singly) << letters;
            auto const all = [](NucleotideCounts const& counts) {
                return std::vector{counts.symbols, counts.lower_case, counts.n, counts.iupac, counts.uracil};
            };
            ASSERT_EQ(all(whole_counts), all(single_counts)) << letters;
        }
    }
}

TEST(NucleotideEncoder, BlocksGiveWhatSingleLettersGive) {
    testing::on_every_simd_target(expect_that_blocks_give_what_single_letters_give);
}

TEST(NucleotideEncoder, ARefusedLetterIsNamedAndNothingIsAppended) {
    NucleotideEncoder const encoder({});
    for (auto const& [letters, name] : {std::pair<std::string, std::string>{"ACGT-", "'-' at offset 4"},
                                        {std::string("AC\0G", 4), "byte 0x00 at offset 2"},
                                        {"\xc3\xa9", "byte 0xc3 at offset 0"},
                                        {std::string(5000, 'A') + "X", "'X' at offset 5000"},
                                        {"ACGT ", "' ' at offset 4"}}) {
        Ids ids{1, 2};
        NucleotideCounts counts;
        auto const result = encoder.encode(letters, ids, counts);
        ASSERT_FALSE(result) << letters;
        EXPECT_EQ(result.error().code(), ErrorCode::malformed_input);
        EXPECT_NE(result.error().message().find(name), std::string::npos) << result.error().what();
        EXPECT_EQ(ids, (Ids{1, 2}));
        EXPECT_EQ(counts.symbols, 0);
    }
}

TEST(NucleotideEncoder, OnlyTheseLettersAreKnown) {
    NucleotideEncoder const encoder({});
    int known = 0;
    for (int byte = 0; byte < 256; ++byte) {
        Ids ids;
        NucleotideCounts counts;
        char const letter = static_cast<char>(byte);
        if (encoder.encode({&letter, 1}, ids, counts)) {
            ++known;
            EXPECT_NE(std::string("ACGTUNRYSWKMBDHV").find(static_cast<char>(std::toupper(byte))), std::string::npos);
        }
    }
    EXPECT_EQ(known, 32);
}

// Counters are packed, a block of letters at a time: many letters of one kind, over several blocks, must not overflow.
TEST(NucleotideEncoder, CountsAreExactOverAnyLength) {
    for (auto const* letters : {"a", "N", "r", "U", "n", "ACGTUNRYacgtunry"}) {
        for (index_t const times : {1, 4094, 4095, 4096, 4097, 100000}) {
            std::string text;
            NucleotideCounts expected;
            for (index_t i = 0; i < times; ++i) {
                text += letters[i % static_cast<index_t>(std::strlen(letters))];
            }
            for (char const letter : text) {
                char const upper = static_cast<char>(std::toupper(letter));
                expected.add({1, letter != upper, upper == 'N', upper == 'R' || upper == 'Y', upper == 'U'});
            }
            Ids ids;
            NucleotideCounts counts;
            NucleotideEncoder({.n = AmbiguousBase::skip}).encode(text, ids, counts).value();
            EXPECT_EQ(counts.symbols, expected.symbols);
            EXPECT_EQ(counts.lower_case, expected.lower_case) << letters << times;
            EXPECT_EQ(counts.n, expected.n) << letters << times;
            EXPECT_EQ(counts.iupac, expected.iupac) << letters << times;
            EXPECT_EQ(counts.uracil, expected.uracil) << letters << times;
            EXPECT_EQ(static_cast<index_t>(ids.size()), times - expected.n - expected.iupac);
        }
    }
}

TEST(NucleotideEncoder, AnyCutGivesTheSameTokens) {
    Random random(7);
    std::string text;
    for (int i = 0; i < 20011; ++i) {
        text += "ACGTNacgtnRU"[random.below(12)];
    }
    NucleotideEncoder const encoder({.n = AmbiguousBase::skip});
    Ids whole;
    NucleotideCounts whole_counts;
    encoder.encode(text, whole, whole_counts).value();
    for (std::size_t const cut : {1U, 7U, 4095U, 4096U}) {
        Ids ids;
        NucleotideCounts counts;
        for (std::size_t begin = 0; begin < text.size(); begin += cut) {
            encoder.encode(std::string_view(text).substr(begin, cut), ids, counts).value();
        }
        EXPECT_EQ(ids, whole) << cut;
        EXPECT_EQ(counts.n, whole_counts.n) << cut;
    }
}

TEST(NucleotideEncoder, ReverseComplementIsThatOfTheLetters) {
    for (auto const vocabulary : {Vocabulary::caduceus, Vocabulary::plantcaduceus, Vocabulary::nucleotide}) {
        NucleotideEncoder const encoder({.vocabulary = vocabulary});
        auto ids = encode({.vocabulary = vocabulary}, "AACGTNG");
        encoder.reverse_complement(ids);
        EXPECT_EQ(ids, encode({.vocabulary = vocabulary}, "CNACGTT"));
    }
}

TEST(NucleotideEncoder, ComplementMapsAreThePublishedOnes) {
    EXPECT_EQ(NucleotideEncoder({.vocabulary = Vocabulary::caduceus}).complement_map(16),
              (Ids{0, 1, 2, 3, 4, 5, 6, 10, 9, 8, 7, 11, 12, 13, 14, 15}));
    EXPECT_EQ(NucleotideEncoder({.vocabulary = Vocabulary::plantcaduceus}).complement_map(8),
              (Ids{0, 1, 2, 6, 5, 4, 3, 7}));
    EXPECT_EQ(NucleotideEncoder({.vocabulary = Vocabulary::nucleotide}).complement_map(5), (Ids{3, 2, 1, 0, 4}));
    EXPECT_THROW(NucleotideEncoder({}).complement_map(8), Error);
}

TEST(NucleotideEncoder, SpecialTokensAreThoseOfThePublishedTokenizer) {
    EXPECT_EQ(NucleotideEncoder({}).prefix_tokens(), Ids{});
    EXPECT_EQ(NucleotideEncoder({}).suffix_tokens(), Ids{1});
    EXPECT_EQ(NucleotideEncoder({.vocabulary = Vocabulary::plantcaduceus}).suffix_tokens(), Ids{});
}

} // namespace
} // namespace strandwave
