#include "pipelines/training_set.h"

#include "tests/pipelines/training_support.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

class TrainingSetTest : public testing::Test, public TrainingFiles {};

TEST_F(TrainingSetTest, HoldsTheTokensOfEveryRecord) {
    auto const letters = bases(100000);
    write("a.fa", fasta("one", letters) + fasta("two", "ACGTN"));
    write("b.fa", fasta("three", "ggg"));
    auto const set = read();
    ASSERT_EQ(set.size(), 3);
    EXPECT_EQ(stored_tokens(set, 0), tokens_of(letters));
    EXPECT_EQ(stored_tokens(set, 1), tokens_of("ACGTN"));
    EXPECT_EQ(stored_tokens(set, 2), tokens_of("GGG"));
    EXPECT_EQ(set[1].name, "two");
    EXPECT_EQ(set[1].file, 0);
    EXPECT_EQ(set[2].file, 1);
    EXPECT_EQ(set[2].record, 2);
    EXPECT_EQ(set[0].label, -1);
    EXPECT_EQ(set.report().source.records, 3);
}

TEST_F(TrainingSetTest, ClassesAreInByteOrderWhateverTheRecordsOrder) {
    write("a.fa", ">a label=z\nA\n>b label=B\nC\n>c label=a\nG\n>d label=z\nT\n");
    auto const set = read("header");
    EXPECT_EQ(set.classes(), (std::vector<std::string>{"B", "a", "z"}));
    ASSERT_EQ(set.size(), 4);
    EXPECT_EQ(set[0].label, 2);
    EXPECT_EQ(set[1].label, 0);
    EXPECT_EQ(set[2].label, 1);
    EXPECT_EQ(set[3].label, 2);
}

TEST_F(TrainingSetTest, GivenClassesKeepTheirOrderAndOthersFail) {
    write("a.fa", ">a label=z\nA\n>b label=B\nC\n>c label=a\nG\n");
    options.classes = {"z", "a"};
    auto const set = read("header");
    EXPECT_EQ(set.classes(), (std::vector<std::string>{"z", "a"}));
    ASSERT_EQ(set.size(), 2);
    EXPECT_EQ(set[0].label, 0);
    EXPECT_EQ(set[1].label, 1);
    EXPECT_EQ(stored_tokens(set, 1), tokens_of("G"));
    EXPECT_EQ(set.report().failed, 1);
    ASSERT_EQ(failures.size(), 1U);
    EXPECT_NE(failures[0].error.message().find("record b: its class 'B' is not one of the 2"), std::string::npos);
    options.classes = {"z", "z"};
    EXPECT_THROW(read("header"), Error);
}

TEST_F(TrainingSetTest, ValuesAreNumbers) {
    write("train.csv", "sequence,label\nACGT,1.5\nAC,high\nG,-2\nGG,-1e39\n");
    options.target = TargetKind::values;
    auto const set = read("header");
    ASSERT_EQ(set.size(), 2);
    EXPECT_EQ(set[0].value, 1.5F);
    EXPECT_EQ(set[1].value, -2.0F);
    EXPECT_EQ(set[1].name, "train_3");
    ASSERT_EQ(failures.size(), 2U);
    EXPECT_NE(failures[0].error.message().find("record train_2: its label 'high' is not a number"), std::string::npos);
    EXPECT_NE(failures[1].error.message().find("record train_4: its label '-1e39' is not a number of fp32"),
              std::string::npos);
}

TEST_F(TrainingSetTest, NothingIsLeftOutInSilence) {
    auto const broken = bases(200000); // several pieces were stored when its last letter is refused
    write("a.fa",
          ">a label=x\nACGT\n>b\nACG\n>c label=x\n" + broken + "J\n>d label=y\n\n>e label=y\nNN\n>f label=y\nT\n");
    write("missing.fa", "");
    write("cut.fq", "@r label=x\nACGT\n+\nII\n");
    write("good.fa", ">g label=x\nGG\n");
    LabelOptions where;
    where.table = folder.path() / "labels.tsv";
    write_text(where.table, "a\tx\nc\tx\nd\ty\ne\ty\nf\ty\nr\tx\ng\tx\n");
    LabelSource const labels(where, {}, {});
    options.labels = &labels;
    options.target = TargetKind::classes;
    options.source.preprocessor.nucleotide.n = AmbiguousBase::skip;
    std::filesystem::remove(files[1]);
    options.failure = [this](UnitFailure const& failure) { failures.push_back(failure); };
    auto const set = read();
    ASSERT_EQ(set.size(), 3);
    EXPECT_EQ(stored_tokens(set, 0), tokens_of("ACGT"));
    EXPECT_EQ(stored_tokens(set, 1), tokens_of("T"));
    EXPECT_EQ(stored_tokens(set, 2), tokens_of("GG"));
    EXPECT_EQ(set[2].file, 3);
    auto const& report = set.report();
    EXPECT_EQ(report.failed, 3) << "c, the missing file, and the cut one";
    ASSERT_EQ(failures.size(), 3U);
    EXPECT_NE(failures[0].error.message().find("record c"), std::string::npos);
    EXPECT_EQ(failures[1].error.code(), ErrorCode::not_found);
    EXPECT_EQ(failures[2].error.code(), ErrorCode::truncated_input);
    EXPECT_FALSE(failures[0].file_broken);
    EXPECT_TRUE(failures[1].file_broken && failures[2].file_broken);
    EXPECT_EQ(report.broken_files, 2);
    EXPECT_EQ(report.first_broken, files[1]);
    EXPECT_EQ(report.unlabelled, 1);
    EXPECT_EQ(report.first_unlabelled, "b");
    EXPECT_EQ(report.no_position, 1) << "e";
    EXPECT_EQ(report.source.too_short, 1) << "d";
}

TEST_F(TrainingSetTest, WindowsAreExamplesOfOneRecord) {
    write("a.fa", fasta("a", "AAAACCCCGGGG") + fasta("b", "TTTT"));
    options.source.window = Extent::parse("4");
    auto const set = read();
    ASSERT_EQ(set.size(), 4);
    EXPECT_EQ(stored_tokens(set, 1), tokens_of("CCCC"));
    EXPECT_EQ(set[2].start, 8);
    EXPECT_EQ(set[2].record, 0);
    EXPECT_EQ(set[3].record, 1);
}

TEST_F(TrainingSetTest, StoresNeitherSpecialTokensNorASecondStrand) {
    write("a.fa", fasta("a", "AAC"));
    options.source.preprocessor.special_tokens = true;
    options.source.preprocessor.strand = StrandPolicy::both;
    auto const set = read();
    ASSERT_EQ(set.size(), 1);
    EXPECT_EQ(stored_tokens(set, 0), tokens_of("AAC"));
    EXPECT_TRUE(set.preprocessor().special_tokens);
}

TEST_F(TrainingSetTest, SoundIsSamplesAtTheModelsRate) {
    write("1_a.wav", wav(1000, 2, 8000));
    write("2_b.wav", wav(2000, 1, 16000));
    options.source.preprocessor = frame_preprocessor(16, 8);
    options.source.frame_length = 16;
    auto const set = read("file");
    ASSERT_EQ(set.size(), 2);
    EXPECT_EQ(set[0].length, 1000);
    EXPECT_EQ(set[1].length, 1000);
    EXPECT_EQ(set[1].label, 1);

    AudioEncoder encoder(
        {.sampling_rate_hz = 8000, .encoding = AudioEncoding::frames, .frame_length = 1, .frame_hop = 1}, 8000);
    auto reader = std::move(open_input(files[0], {}).value().audio);
    AudioChunk chunk;
    ASSERT_EQ(reader->next(chunk, 5000).value(), ReadOutcome::chunk);
    auto const mono =
        take_channel({chunk.samples.data(), static_cast<index_t>(chunk.samples.size())}, 2, ChannelPolicy::mix, 0);
    auto const samples = set.samples(0);
    EXPECT_EQ(std::vector<float>(samples.data, samples.data + samples.size), mono);
}

TEST_F(TrainingSetTest, RefusesMoreThanMayBeTaken) {
    write("a.fa", fasta("a", bases(5000)) + fasta("b", bases(3000000)));
    options.max_bytes = 2 << 20;
    try {
        read();
        FAIL();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::too_large);
        EXPECT_NE(error.message().find("a.fa: record b: "), std::string::npos) << error.message();
        EXPECT_NE(error.message().find("2 MiB"), std::string::npos) << error.message();
    }
    options.max_bytes = 4 << 20;
    auto const set = read();
    EXPECT_LE(set.bytes(), 4 << 20);
    EXPECT_EQ(set.size(), 2);
}

TEST_F(TrainingSetTest, ClassesNeedLabels) {
    write("a.fa", fasta("a", "AC"));
    options.target = TargetKind::classes;
    EXPECT_THROW(read(), Error);
}

} // namespace
} // namespace strandwave
