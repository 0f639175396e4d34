#include "pipelines/data_split.h"

#include "tests/pipelines/training_support.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace strandwave {
namespace {

class DataSplitTest : public testing::Test, public TrainingFiles {
protected:
    /// `counts[c]` records of class c, mixed.
    TrainingSet labelled(std::vector<index_t> const& counts) {
        std::string text;
        index_t const most = *std::max_element(counts.begin(), counts.end());
        for (index_t i = 0; i < most; ++i) {
            for (std::size_t c = 0; c < counts.size(); ++c) {
                if (i >= counts[c]) { continue; }
                auto const number = std::to_string(i) + "_" + std::to_string(c);
                text += ">r" + number + " label=" + std::to_string(c) + "\n" + bases(20, ++seed_) + "\n";
            }
        }
        write("a.fa", text);
        return read("header");
    }

    std::uint32_t seed_ = 0;
};

std::map<std::int32_t, index_t> class_counts(TrainingSet const& set, std::vector<index_t> const& list) {
    std::map<std::int32_t, index_t> counts;
    for (index_t const example : list) {
        ++counts[set[example].label];
    }
    return counts;
}

std::vector<index_t> together(DataSplit const& split) {
    auto list = split.training;
    list.insert(list.end(), split.validation.begin(), split.validation.end());
    std::sort(list.begin(), list.end());
    return list;
}

TEST_F(DataSplitTest, HoldsOutAShareOfEveryClass) {
    auto const set = labelled({100, 30, 3, 1});
    auto const split = split_held_out(set, 0.2, 7);
    EXPECT_EQ(together(split), every_example(set));
    EXPECT_EQ(class_counts(set, split.validation), (std::map<std::int32_t, index_t>{{0, 20}, {1, 6}, {2, 1}}));
    EXPECT_EQ(split_held_out(set, 0.2, 7).validation, split.validation);
    EXPECT_NE(split_held_out(set, 0.2, 8).validation, split.validation);
    EXPECT_THROW(split_held_out(set, 0, 1), Error);
    EXPECT_THROW(split_held_out(set, 1, 1), Error);
}

TEST_F(DataSplitTest, FoldsAreAPartitionAndBalanced) {
    auto const set = labelled({23, 11, 5});
    std::multiset<index_t> held;
    for (index_t fold = 0; fold < 5; ++fold) {
        auto const split = split_fold(set, fold, 5, 3);
        EXPECT_EQ(together(split), every_example(set));
        held.insert(split.validation.begin(), split.validation.end());
        auto counts = class_counts(set, split.validation);
        EXPECT_GE(counts[0], 4);
        EXPECT_LE(counts[0], 5);
        EXPECT_GE(counts[1], 2);
        EXPECT_LE(counts[1], 3);
        EXPECT_EQ(counts[2], 1);
        EXPECT_GE(split.validation.size(), 7U);
        EXPECT_LE(split.validation.size(), 8U);
    }
    auto const all = every_example(set);
    EXPECT_EQ(held, (std::multiset<index_t>(all.begin(), all.end())));
    EXPECT_THROW(split_fold(set, 5, 5, 1), Error);
    EXPECT_THROW(split_fold(set, -1, 5, 1), Error);
    EXPECT_THROW(split_fold(set, 0, 1, 1), Error);
    EXPECT_THROW(split_fold(set, 39, 40, 1), Error) << "an empty fold";
}

TEST_F(DataSplitTest, WindowsOfARecordStayTogether) {
    std::string text;
    for (int i = 0; i < 20; ++i) {
        text += fasta("r" + std::to_string(i), bases(40));
    }
    write("a.fa", text);
    options.source.window = Extent::parse("10");
    auto const set = read();
    ASSERT_EQ(set.size(), 80);
    for (auto const& split : {split_held_out(set, 0.3, 1), split_fold(set, 1, 4, 1)}) {
        std::set<index_t> records;
        for (index_t const example : split.validation) {
            records.insert(set[example].record);
        }
        EXPECT_EQ(split.validation.size(), 4 * records.size());
        for (index_t const example : split.training) {
            EXPECT_EQ(records.count(set[example].record), 0U);
        }
    }
}

TEST_F(DataSplitTest, ChannelsOfARecordingStayTogether) {
    for (int i = 0; i < 6; ++i) {
        write(std::to_string(i) + ".wav", wav(100, 2, 8000));
    }
    options.source.preprocessor = sound_preprocessor();
    options.source.preprocessor.audio.channels = ChannelPolicy::each;
    auto const set = read();
    ASSERT_EQ(set.size(), 12);
    auto const split = split_held_out(set, 0.5, 1);
    ASSERT_EQ(split.validation.size(), 6U);
    for (std::size_t i = 0; i < 6; i += 2) {
        EXPECT_EQ(set[split.validation[i]].file, set[split.validation[i + 1]].file);
    }
}

TEST_F(DataSplitTest, GivenFilesAreHeldOut) {
    write("a.fa", fasta("a", "ACG") + fasta("b", "AC"));
    write("none.fa", "");
    write("c.fa", fasta("c", "ACG"));
    auto const set = read();
    auto const split = split_by_file(set, 1);
    EXPECT_EQ(split.training, (std::vector<index_t>{0, 1}));
    EXPECT_EQ(split.validation, (std::vector<index_t>{2}));
    EXPECT_THROW(split_by_file(set, 0), Error);
    EXPECT_THROW(split_by_file(set, 3), Error);
    EXPECT_EQ(split_none(set).training, every_example(set));
}

TEST_F(DataSplitTest, FindsWhatLeaks) {
    write("train.fa", fasta("a", "AACCGT") + fasta("b", "GGGTA") + fasta("c", "ACGT") + fasta("d", "AACCGT"));
    write("test.fa", fasta("a", "TTTTT") + fasta("e", "AACCGT") + fasta("f", "TACCC") + fasta("g", "ACGT") +
                         fasta("h", "AACCGTA") + fasta("i", "AACCGA"));
    auto const set = read();
    auto const report = find_leakage(set, split_by_file(set, 1));
    EXPECT_TRUE(report.any());
    EXPECT_EQ(report.same_name, 1);
    EXPECT_EQ(report.same_content, 2) << "e, and g, which is its own reverse complement";
    EXPECT_EQ(report.reverse_complement, 1);
    ASSERT_EQ(report.first.size(), 4U);
    EXPECT_EQ(report.first[0].kind, LeakKind::name);
    EXPECT_EQ(report.first[0].validation, 4);
    EXPECT_EQ(report.first[0].training, 0);
    EXPECT_EQ(report.first[1].kind, LeakKind::content);
    EXPECT_EQ(report.first[1].validation, 5);
    EXPECT_EQ(report.first[1].training, 0);
    EXPECT_EQ(report.first[2].kind, LeakKind::reverse_complement);
    EXPECT_EQ(report.first[2].validation, 6);
    EXPECT_EQ(report.first[2].training, 1);
}

TEST_F(DataSplitTest, FindsRecordingsThatAreTheSame) {
    write("0.wav", wav(100, 1, 8000));
    write("1.wav", wav(101, 1, 8000));
    write("2.wav", wav(100, 1, 8000));
    options.source.preprocessor = sound_preprocessor();
    auto const set = read();
    auto const report = find_leakage(set, split_by_file(set, 1));
    EXPECT_EQ(report.same_content, 1);
    EXPECT_EQ(report.same_name, 0);
    EXPECT_EQ(report.reverse_complement, 0);
    EXPECT_EQ(report.first.at(0).validation, 2);
}

TEST_F(DataSplitTest, ShowsOnlyTheFirstLeaks) {
    std::string text;
    for (int i = 0; i < 20; ++i) {
        text += fasta("r" + std::to_string(i), bases(30, static_cast<std::uint32_t>(i)));
    }
    write("a.fa", text);
    write("b.fa", text);
    auto const set = read();
    auto const report = find_leakage(set, split_by_file(set, 1));
    EXPECT_EQ(report.same_name, 20);
    EXPECT_EQ(report.same_content, 20);
    EXPECT_EQ(static_cast<index_t>(report.first.size()), 2 * kLeaksShown);
}

} // namespace
} // namespace strandwave
