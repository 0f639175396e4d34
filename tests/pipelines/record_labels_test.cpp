#include "pipelines/record_labels.h"

#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace strandwave {
namespace {

class RecordLabels : public testing::Test {
protected:
    LabelSource from(std::string const& word, std::vector<std::filesystem::path> const& files = {}) const {
        LabelOptions options;
        options.from = word;
        return {options, files, {}};
    }
    LabelSource table(std::string const& text) const {
        LabelOptions options;
        options.table = write_text(folder_.path() / "labels.tsv", text);
        return {options, {}, {}};
    }
    std::string refusal(std::string const& text) const {
        try {
            table(text);
        } catch (Error const& error) { return error.message(); }
        return "";
    }
    static Unit unit(std::string const& file, std::string const& name) {
        Unit unit;
        unit.file = file;
        unit.name = name;
        return unit;
    }

    TempDir folder_;
};

TEST_F(RecordLabels, FileAndFolderNames) {
    EXPECT_EQ(from("file").label(unit("a/7_jackson_0.wav", "x")), "7");
    EXPECT_EQ(from("file").label(unit("ecoli.fa.gz", "x")), "ecoli");
    EXPECT_EQ(from("folder").label(unit("data/dog/a.wav", "x")), "dog");
}

TEST_F(RecordLabels, ATableNamesRecordsOrTheFilesOfRecordings) {
    auto const labels = table("\xef\xbb\xbfr1\tred\r\n\nb.wav\tblue\n");
    EXPECT_EQ(labels.label(unit("a.fa", "r1")), "red");
    EXPECT_EQ(labels.label(unit("x/b.wav", "x/b.wav")), "blue");
    EXPECT_EQ(labels.label(unit("a.fa", "r2")), std::nullopt);
}

TEST_F(RecordLabels, ChannelsHaveTheLabelOfTheirFileUnlessTheyHaveTheirOwn) {
    auto channel = unit("x/b.wav", "x/b.wav:channel2");
    channel.sample_rate_hz = 8000;
    EXPECT_EQ(table("b.wav\tblue\n").label(channel), "blue");
    EXPECT_EQ(table("x/b.wav\tblue\nb.wav:channel2\tred\n").label(channel), "red");
    EXPECT_EQ(table("b.wav\tblue\n").label(unit("b.wav", "r1")), std::nullopt) << "a record is no channel";
}

TEST_F(RecordLabels, HeadersOfAPipeAreNotReadTwice) {
    auto const pipe = folder_.path() / "pipe";
    ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
    try {
        from("header", {pipe});
        FAIL() << "was read";
    } catch (Error const& error) {
        EXPECT_NE(error.message().find("pipe: can be read only once"), std::string::npos) << error.message();
    }
}

TEST_F(RecordLabels, ABadTableIsRefusedByLine) {
    for (auto const* text : {"a\tx\nb\n", "a\tx\n\tb\n", "a\tx\nb\t\n", "a\tx\nb\ty\tz\n"}) {
        EXPECT_NE(refusal(text).find("line 2: not of the form"), std::string::npos) << text;
    }
    EXPECT_NE(refusal("a\tx\na\ty\n").find("line 2: the class is 'y'"), std::string::npos);
    EXPECT_EQ(refusal("a\tx\na\tx\n"), "");
}

TEST_F(RecordLabels, HeadersAreOfTheirFile) {
    auto const one = write_text(folder_.path() / "one.fa", ">a label=x y\nAC\n>b\nAC\n>c other=1 label=z\nA\n");
    auto const two = write_text(folder_.path() / "two.fa", ">a label=y\nAC\n");
    auto const labels = from("header", {one, two});
    EXPECT_EQ(labels.label(unit(one, "a")), "x");
    EXPECT_EQ(labels.label(unit(one, "b")), std::nullopt);
    EXPECT_EQ(labels.label(unit(one, "c")), "z");
    EXPECT_EQ(labels.label(unit(two, "a")), "y");
}

TEST_F(RecordLabels, TablesOfSequencesLabelTheirRows) {
    auto const file = write_text(folder_.path() / "train.csv", "sequence,label\nACGT,1\nAC,0\n");
    auto const labels = from("header", {file});
    EXPECT_EQ(labels.label(unit(file, "train_1")), "1");
    EXPECT_EQ(labels.label(unit(file, "train_2")), "0");
}

TEST_F(RecordLabels, ExactlyOneSource) {
    EXPECT_THROW(LabelSource({}, {}, {}), Error);
    EXPECT_THROW(from("header", {"-"}), Error);
}

TEST(LabelValue, IsANumberOrNothing) {
    EXPECT_EQ(label_value("1"), 1.0);
    EXPECT_EQ(label_value("-2.5e-3"), -2.5e-3);
    for (auto const* text : {"", " 1", "1 ", "1,5", "1x", "x", "+1", "nan", "inf", "1e999"}) {
        EXPECT_EQ(label_value(text), std::nullopt) << text;
    }
}

} // namespace
} // namespace strandwave
