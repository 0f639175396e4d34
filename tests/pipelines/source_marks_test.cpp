#include "pipelines/record_source.h"

#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace strandwave {
namespace {

using Lines = std::vector<std::string>;

std::string describe(SourceMark const& mark) {
    auto const file = std::to_string(mark.file_index) + ": ";
    auto const number = std::to_string(mark.block);
    auto const next = " next " + std::to_string(mark.ordinal);
    switch (mark.kind) {
    case SourceMark::Kind::block_begin: return file + "begin " + number + next;
    case SourceMark::Kind::block_end:
        return file + "end " + number + next + ": " + std::to_string(mark.records) + " records, " +
               std::to_string(mark.too_short) + " short, " + std::to_string(mark.silent) + " silent, " +
               std::to_string(mark.symbols) + " symbols";
    case SourceMark::Kind::block_passed: return file + "pass " + number + next;
    case SourceMark::Kind::file_end: return file + (mark.broken ? "broken behind " : "whole, last ") + number;
    }
    return {};
}

class SourceMarksTest : public testing::Test {
protected:
    std::filesystem::path file(std::string const& name, std::string const& text) const {
        return write_text(folder_.path() / name, text);
    }

    /// Marks, and the name of each unit with its number in the file; "!name": it failed.
    Lines read(std::vector<std::filesystem::path> files, RecordSourceOptions options = {}) const {
        options.marks = true;
        RecordSource source(std::move(files), std::move(options));
        Lines lines;
        for (UnitPiece piece; source.next(piece, 7);) {
            if (piece.mark) {
                lines.push_back(describe(*piece.mark));
            } else if (piece.failure) {
                lines.push_back("!" + std::to_string(piece.unit.ordinal));
            } else if (piece.last) {
                lines.push_back(piece.unit.name + " " + std::to_string(piece.unit.ordinal));
            }
        }
        return lines;
    }

    TempDir folder_;
};

std::string records(index_t count) {
    std::string text;
    for (index_t i = 0; i < count; ++i) {
        text += ">" + std::to_string(i) + "\nA\n";
    }
    return text;
}

TEST_F(SourceMarksTest, EveryFileEndsAndABlockHoldsItsRecords) {
    RecordSourceOptions options;
    options.min_length = 3;
    auto const lines = read({file("a.fa", ">x\nACGT\n>y\nA\n>z\nACG\n"), file("empty.fa", ""), "/none.fa",
                             file("b.fa", ">w\nAC*\n>v\nACGTACGTACGT\n")},
                            options);
    EXPECT_EQ(lines,
              (Lines{"0: begin 0 next 0", "x 0", "z 2", "0: end 0 next 3: 2 records, 1 short, 0 silent, 8 symbols",
                     "0: whole, last 0", "1: whole, last -1", "!-1", "2: broken behind -1", "3: begin 0 next 0", "!0",
                     "v 1", "3: end 0 next 2: 2 records, 0 short, 0 silent, 15 symbols", "3: whole, last 0"}));
}

TEST_F(SourceMarksTest, ABlockEndsBeforeTheRecordThatIsOneTooMany) {
    auto const path = file("a.fa", records(2 * kBlockRecords + 1));
    auto const lines = read({path});
    auto const first =
        std::find(lines.begin(), lines.end(), "0: end 0 next 8192: 8192 records, 0 short, 0 silent, 8192 symbols");
    ASSERT_NE(first, lines.end());
    EXPECT_EQ(first - lines.begin(), 1 + kBlockRecords);
    EXPECT_EQ(first[1], "0: begin 1 next 8192");
    EXPECT_EQ(lines.back(), "0: whole, last 2");
}

TEST_F(SourceMarksTest, ALongRecordIsABlockOfItsOwn) {
    auto const path = file("a.fa", fasta("long", std::string(kBlockSymbols, 'A')) + ">b\nACGT\n");
    EXPECT_EQ(read({path}),
              (Lines{"0: begin 0 next 0", "long 0", "0: end 0 next 1: 1 records, 0 short, 0 silent, 4194304 symbols",
                     "0: begin 1 next 1", "b 1", "0: end 1 next 2: 1 records, 0 short, 0 silent, 4 symbols",
                     "0: whole, last 1"}));
}

TEST_F(SourceMarksTest, BlocksThatAreNotWantedArePassedOver) {
    auto const path = file("a.fa", records(3 * kBlockRecords));
    RecordSourceOptions options;
    options.wanted = [](index_t, index_t block) { return block == 1; };
    auto const lines = read({path}, options);
    ASSERT_EQ(lines.size(), 5 + kBlockRecords);
    EXPECT_EQ(lines.front(), "0: pass 0 next 0");
    EXPECT_EQ(lines[1], "0: begin 1 next 8192");
    EXPECT_EQ(lines[2], "8192 8192");
    EXPECT_EQ(lines[2 + kBlockRecords], "0: end 1 next 16384: 8192 records, 0 short, 0 silent, 8192 symbols");
    EXPECT_EQ(lines[3 + kBlockRecords], "0: pass 2 next 16384");
    EXPECT_EQ(lines.back(), "0: whole, last 2");
}

TEST_F(SourceMarksTest, ABlockThatBreaksOffDoesNotEnd) {
    auto const path = file("a.fq", "@x\nACGT\n+\nIIII\n@y\nACGT\n+\nII");
    EXPECT_EQ(read({path}), (Lines{"0: begin 0 next 0", "x 0", "!-1", "0: broken behind 0"}));
}

TEST_F(SourceMarksTest, APairIsOneRecordAndFailsWhole) {
    RecordSourceOptions options;
    options.interleaved = true;
    auto const path = file("a.fa", ">x/1\nACGT\n>x/2\nAC\n>y/1\nA*\n>y/2\nACG\n>z/1\nA\n>z/2\nCG\n");
    EXPECT_EQ(read({path}, options),
              (Lines{"0: begin 0 next 0", "x 0", "x 0", "!1", "z 2", "z 2",
                     "0: end 0 next 3: 3 records, 0 short, 0 silent, 14 symbols", "0: whole, last 0"}));
    options.min_length = 2;
    EXPECT_EQ(read({path}, options).back(), "0: whole, last 0");
}

TEST_F(SourceMarksTest, ChannelsAreRecordsOfTheirFile) {
    RecordSourceOptions options;
    options.preprocessor.input = InputKind::audio;
    options.preprocessor.audio.encoding = AudioEncoding::mulaw;
    options.preprocessor.audio.sampling_rate_hz = 8000;
    options.preprocessor.audio.channels = ChannelPolicy::each;
    auto const path = file("a.wav", wav(20, 2, 8000));
    auto const name = path.string();
    EXPECT_EQ(
        read({path}, options),
        (Lines{"0: begin 0 next 0", name + ":channel1 0", "0: end 0 next 1: 1 records, 0 short, 0 silent, 20 symbols",
               "0: begin 1 next 1", name + ":channel2 1", "0: end 1 next 2: 1 records, 0 short, 0 silent, 20 symbols",
               "0: whole, last 1"}));
}

} // namespace
} // namespace strandwave
