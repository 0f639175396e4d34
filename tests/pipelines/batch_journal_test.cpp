#include "pipelines/batch/batch_journal.h"

#include "lib/core/error.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>

namespace strandwave {
namespace {

/// No UTF-8, and letters that JSON escapes.
std::string const kOdd = "a\xff\xc3\xa4\"\n\\b";

JournalHeader header() {
    JournalHeader header;
    header.version = "1.2";
    header.settings = {{"--window", "5"}, {"odd", kOdd}};
    header.outputs.formats = {OutputFormat::tsv, OutputFormat::bam};
    header.outputs.labels = {"x", kOdd};
    header.outputs.d_model = 7;
    header.inputs = {{kOdd, "mates", "out", "sample", "label"}, {"second", "", "second", "", ""}};
    header.shard = 1;
    header.shards = 3;
    header.shards_records = true;
    return header;
}

InputTally tally(index_t one) {
    InputTally tally;
    tally.records = one;
    tally.rows = 2 * one;
    tally.failed = 3;
    tally.symbols = 4 * one;
    tally.class_rows = {one, 0};
    return tally;
}

class BatchJournalTest : public testing::Test {
protected:
    void write_some() const {
        BatchJournal journal(file_, header());
        journal.begin_input(kOdd, "12@34", {kOdd + ".tsv", "bam"});
        journal.end_block(kOdd, {0, {100, 200}, {"a", "b"}, tally(1), {{3, kOdd, "io", kOdd}}});
        journal.end_block(kOdd, {2, {150, 300}, {"c", "d"}, tally(10), {{5, "later", "io", "why"}}});
        journal.begin_input("done", "id", {"part"});
        InputJournal last;
        last.broken = true;
        last.has_last_block = false;
        last.sizes = {5};
        last.md5 = {"e"};
        last.files = {{kOdd, 9, "md5"}};
        last.failures = {{-1, "", "truncated_input", "why"}};
        last.tally = tally(2);
        journal.end_input("done", last);
    }

    TempDir folder_;
    std::filesystem::path file_ = folder_.path() / "journal.jsonl";
};

TEST_F(BatchJournalTest, SaysAgainWhatItWasTold) {
    EXPECT_FALSE(BatchJournal::is_at(file_));
    { BatchJournal const empty(file_, header()); }
    EXPECT_FALSE(BatchJournal::is_at(file_)) << "nothing was begun";
    write_some();
    ASSERT_TRUE(BatchJournal::is_at(file_));
    BatchJournal const journal(file_);
    EXPECT_EQ(journal.header().settings, header().settings);
    EXPECT_EQ(journal.header().inputs, header().inputs);
    EXPECT_EQ(journal.header().outputs.formats, header().outputs.formats);
    EXPECT_EQ(journal.header().outputs.labels, header().outputs.labels);
    EXPECT_EQ(journal.header().shard, 1);
    EXPECT_EQ(journal.header().shards, 3);
    EXPECT_TRUE(journal.header().shards_records);

    auto const* const input = journal.find(kOdd);
    ASSERT_NE(input, nullptr);
    EXPECT_EQ(input->identity, "12@34");
    EXPECT_EQ(input->parts, (std::vector<std::string>{kOdd + ".tsv", "bam"}));
    auto both = tally(1);
    both += tally(10);
    EXPECT_EQ(input->tally, both);
    EXPECT_EQ(input->failures, (std::vector<FailedRecord>{{3, kOdd, "io", kOdd}, {5, "later", "io", "why"}}));
    ASSERT_EQ(input->blocks.size(), 2);
    EXPECT_EQ(input->blocks[1].block, 2);
    EXPECT_EQ(input->blocks[1].sizes, (std::vector<index_t>{150, 300}));
    EXPECT_EQ(input->blocks[1].md5, (std::vector<std::string>{"c", "d"}));
    EXPECT_FALSE(input->ended);

    auto const* const done = journal.find("done");
    ASSERT_NE(done, nullptr);
    EXPECT_TRUE(done->ended && done->broken && !done->has_last_block);
    EXPECT_EQ(done->sizes, std::vector<index_t>{5});
    EXPECT_EQ(done->md5, std::vector<std::string>{"e"});
    EXPECT_EQ(done->files, (std::vector<WrittenFile>{{kOdd, 9, "md5"}}));
    EXPECT_EQ(done->failures.at(0).ordinal, -1);
    EXPECT_EQ(journal.find("other"), nullptr);
}

TEST_F(BatchJournalTest, ALineThatIsNotWholeWasNeverThere) {
    write_some();
    auto const whole = std::filesystem::file_size(file_);
    std::ofstream(file_, std::ios::app) << R"({"input":"done","begin":"x)";
    {
        BatchJournal journal(file_);
        EXPECT_TRUE(journal.find("done")->ended);
        EXPECT_EQ(std::filesystem::file_size(file_), whole);
        journal.begin_input("done", "new", {});
        EXPECT_FALSE(journal.find("done")->ended);
    }
    BatchJournal const again(file_);
    EXPECT_EQ(again.find("done")->identity, "new");
    EXPECT_TRUE(again.find("done")->files.empty());
}

TEST_F(BatchJournalTest, ForgetsBlocks) {
    write_some();
    BatchJournal(file_).keep_blocks(kOdd, 1);
    BatchJournal const journal(file_);
    auto const& input = *journal.find(kOdd);
    ASSERT_EQ(input.blocks.size(), 1);
    EXPECT_EQ(input.blocks[0].sizes, (std::vector<index_t>{100, 200}));
    EXPECT_EQ(input.tally, tally(1));
    EXPECT_EQ(input.failures, (std::vector<FailedRecord>{{3, kOdd, "io", kOdd}}));
}

/// A power loss may leave zeros where the disk lacks a page.
TEST_F(BatchJournalTest, BehindADamagedLineNothingCounts) {
    write_some();
    auto text = read_text(file_);
    auto const second_block = text.find("\"block\":2");
    auto const line = text.rfind('\n', second_block) + 1;
    std::fill_n(text.begin() + static_cast<std::ptrdiff_t>(line), 40, '\0');
    write_text(file_, text);
    {
        BatchJournal const journal(file_);
        EXPECT_EQ(journal.damaged_line(), 4);
        EXPECT_EQ(journal.find(kOdd)->blocks.size(), 1);
        EXPECT_EQ(journal.find("done"), nullptr);
    }
    EXPECT_EQ(std::filesystem::file_size(file_), line);
    EXPECT_EQ(BatchJournal(file_).damaged_line(), 0);
}

TEST_F(BatchJournalTest, CutAnywhereItSaysLessAndNothingElse) {
    write_some();
    std::ostringstream text;
    text << std::ifstream(file_, std::ios::binary).rdbuf();
    for (std::size_t bytes = text.str().find('\n') + 1; bytes < text.str().size(); bytes += 7) {
        write_text(file_, text.str().substr(0, bytes));
        BatchJournal const journal(file_);
        auto const* const input = journal.find(kOdd);
        EXPECT_LE(input == nullptr ? 0 : input->blocks.size(), 2);
    }
}

TEST_F(BatchJournalTest, RefusesWhatIsNoJournal) {
    for (auto const* text : {"not JSON\n", "{\"journal\":99}\n", "[]\n"}) {
        write_text(file_, text);
        try {
            BatchJournal const journal(file_);
            FAIL() << text;
        } catch (Error const& error) {
            EXPECT_EQ(error.code(), ErrorCode::malformed_input);
            EXPECT_NE(error.message().find("line 1"), std::string::npos);
        }
    }
    write_text(file_, "");
    EXPECT_FALSE(BatchJournal::is_at(file_));
}

} // namespace
} // namespace strandwave
