#include "pipelines/unit_runner.h"

#include "tests/pipelines/run_listeners.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <stdexcept>

namespace strandwave {
namespace {

class UnitRunnerTest : public testing::Test {
protected:
    void use(std::filesystem::path const& model_directory) {
        model_ = Model::load(model_directory);
        source_.whole_units = model_->config().bidirectional;
    }
    std::filesystem::path file(std::string const& name, std::string const& content) {
        return write_text(folder_.path() / name, content);
    }
    RunReport run(std::vector<std::filesystem::path> files, UnitListener& listener, int threads = 2) {
        RecordSource source(std::move(files), source_);
        Threads pool(threads);
        return run_units(source, model_, pool, options_, listener);
    }
    std::vector<float> vector_of(std::string const& letters) {
        Recorder recorder;
        auto const strand = std::exchange(source_.preprocessor.strand, StrandPolicy::forward);
        auto const window = std::exchange(source_.window, std::nullopt);
        run({file("one.fa", fasta("one", letters))}, recorder);
        source_.preprocessor.strand = strand;
        source_.window = window;
        return recorder.results.at(0).vector;
    }

    /// Two million positions of five times 2^16 channels have 2.6 TB.
    std::filesystem::path make_wide_model() {
        auto config = nlohmann::json::parse(read_text(make_caduceus_model(folder_.path()) / "config.json"));
        config["n_layer"] = 1;
        config["ssm_cfg"]["expand"] = 1 << 13;
        config["ssm_cfg"]["d_state"] = 1;
        initialise_model(file("wide.json", config.dump()), 5, folder_.path() / "wide");
        return folder_.path() / "wide";
    }

    TempDir folder_;
    std::shared_ptr<Model const> model_;
    RecordSourceOptions source_;
    UnitRunOptions options_;
};

TEST_F(UnitRunnerTest, ARecordsBitsDependOnNeitherChunkNorCompanyNorThreads) {
    use(make_dna_model(folder_.path()));
    auto const a = bases(1000, 1);
    auto const b = bases(37, 2);
    auto const path = file("all.fa", fasta("a", a) + fasta("b", b) + fasta("c", "A"));
    auto const alone = std::vector{vector_of(a), vector_of(b), vector_of("A")};
    for (index_t const chunk : {1, 7, 64, 333, 16384}) {
        options_.chunk = chunk;
        for (int const threads : {1, 2}) {
            Recorder recorder;
            auto const report = run({path}, recorder, threads);
            ASSERT_EQ(recorder.results.size(), 3U);
            for (std::size_t i = 0; i < 3; ++i) {
                EXPECT_EQ(recorder.results[i].vector, alone[i]) << "record " << i << ", chunk " << chunk;
            }
            EXPECT_EQ(report.rows, 3);
            EXPECT_EQ(report.positions, 1038);
        }
    }
}

TEST_F(UnitRunnerTest, BidirectionalModelsReadWholeRecordsInAnyCompany) {
    for (bool const rcps : {false, true}) {
        use(make_caduceus_model(folder_.path(), rcps));
        auto const a = bases(300, 1);
        auto const b = bases(37, 2);
        auto const alone = std::vector{vector_of(a), vector_of(b)};
        for (index_t const chunk : {1, 100, 16384}) {
            options_.chunk = chunk;
            Recorder recorder;
            run({file("all.fa", fasta("a", a) + fasta("b", b))}, recorder);
            ASSERT_EQ(recorder.results.size(), 2U);
            EXPECT_EQ(recorder.results[0].vector, alone[0]);
            EXPECT_EQ(recorder.results[1].vector, alone[1]);
        }
        options_.chunk = 16384;
    }
}

TEST_F(UnitRunnerTest, LogitsAreTheClassifiersOfThePooledVector) {
    use(make_dna_model(folder_.path()));
    auto const pooled = vector_of("ACGTTGCA");
    options_.logits = true;
    EXPECT_EQ(vector_of("ACGTTGCA"), model_->classify({pooled.data(), static_cast<index_t>(pooled.size())}));
}

TEST_F(UnitRunnerTest, BothStrandsAreAveraged) {
    use(make_dna_model(folder_.path()));
    options_.logits = true;
    auto const forward = vector_of("AACCCGT");
    auto const reverse = vector_of("ACGGGTT");
    source_.preprocessor.strand = StrandPolicy::both;
    Recorder recorder;
    run({file("a.fa", fasta("a", "AACCCGT") + fasta("b", "ACGGGTT"))}, recorder);
    ASSERT_EQ(recorder.results.size(), 2U);
    for (std::size_t i = 0; i < forward.size(); ++i) {
        auto const mean = static_cast<float>((double{forward[i]} + double{reverse[i]}) / 2);
        EXPECT_EQ(recorder.results[0].vector[i], mean);
        EXPECT_EQ(recorder.results[1].vector[i], mean);
    }
    EXPECT_EQ(recorder.results[0].positions, 14);
}

TEST_F(UnitRunnerTest, WindowsAreAveragedPerRecord) {
    use(make_dna_model(folder_.path()));
    auto const letters = bases(25);
    auto const first = vector_of(letters.substr(0, 10));
    auto const second = vector_of(letters.substr(10, 10));
    auto const third = vector_of(letters.substr(20));
    source_.window = Extent::parse("10");
    options_.per_record = true;
    Recorder recorder;
    run({file("a.fa", fasta("a", letters) + fasta("b", letters.substr(0, 10)))}, recorder);
    ASSERT_EQ(recorder.results.size(), 2U);
    EXPECT_EQ(recorder.results[0].unit.end, 25);
    for (std::size_t i = 0; i < first.size(); ++i) {
        EXPECT_EQ(recorder.results[0].vector[i],
                  static_cast<float>((double{first[i]} + double{second[i]} + double{third[i]}) / 3));
    }
    EXPECT_EQ(recorder.results[1].vector, first);
}

TEST_F(UnitRunnerTest, AFailureDropsItsRecordAndNoOther) {
    use(make_dna_model(folder_.path()));
    source_.window = Extent::parse("10");
    options_.per_record = true;
    auto const path =
        file("a.fa", fasta("good", bases(30)) + fasta("bad", bases(20) + "JACGTA") + fasta("fine", "ACGT"));
    auto const torn = file("b.fq", "@last\nACGT\n+\nIIII\n@torn\nAC");
    Recorder recorder;
    auto const report = run({path, torn}, recorder);
    ASSERT_EQ(recorder.results.size(), 3U);
    EXPECT_EQ(recorder.results[0].unit.name, "good");
    EXPECT_EQ(recorder.results[1].unit.name, "fine");
    EXPECT_EQ(recorder.results[2].unit.name, "last");
    EXPECT_EQ(report.failed, 2);
    EXPECT_EQ(recorder.failures.size(), 2U);
}

TEST_F(UnitRunnerTest, TheListenerHearsEverythingInOrderOnAnyNumberOfThreads) {
    use(make_dna_model(folder_.path()));
    auto const path = file("a.fa", fasta("a", bases(6)) + fasta("bad", "ACJ") + fasta("b", bases(4)) +
                                       fasta("c", bases(13)) + fasta("d", "A"));
    options_.chunk = 8;
    std::vector<std::string> const rows{"progress 2 6", "row a", "failed bad",    "progress 4 14", "progress 4 22",
                                        "row b",        "row c", "progress 5 24", "row d"};
    for (int const threads : {1, 2, 4}) {
        Diary diary;
        RecordSource source({path}, source_);
        Threads pool(threads);
        run_units(source, model_, pool, options_, diary);
        EXPECT_EQ(diary.entries, rows) << threads << " threads";
    }
}

TEST_F(UnitRunnerTest, ManySmallFeedsKeepTheirOrder) {
    use(make_dna_model(folder_.path()));
    std::string text;
    std::vector<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        auto const name = "r" + std::to_string(i);
        text += fasta(name, i % 7 == 3 ? "ACJ" : bases(1 + i % 29));
        expected.push_back((i % 7 == 3 ? "failed " : "row ") + name);
    }
    auto const path = file("many.fa", text);
    options_.chunk = 10;
    for (int const threads : {1, 2, 3}) {
        Diary diary;
        RecordSource source({path}, source_);
        Threads pool(threads);
        auto const report = run_units(source, model_, pool, options_, diary);
        std::erase_if(diary.entries, [](auto const& entry) { return entry.rfind("progress", 0) == 0; });
        EXPECT_EQ(diary.entries, expected) << threads << " threads";
        EXPECT_EQ(report.failed, 43);
        EXPECT_EQ(report.source.records, 300);
    }
}

TEST_F(UnitRunnerTest, PositionsAreThoseOfTheirFeedWhileLaterOnesRun) {
    use(make_dna_model(folder_.path()));
    std::string text;
    for (int i = 0; i < 60; ++i) {
        text += fasta("r" + std::to_string(i), bases(1 + i % 23, static_cast<std::uint32_t>(i)));
    }
    auto const path = file("many.fa", text);
    options_.positions = true;
    Recorder whole;
    run({path}, whole, 1);
    options_.chunk = 5;
    for (int const threads : {1, 2, 3}) {
        Recorder recorder;
        run({path}, recorder, threads);
        EXPECT_EQ(recorder.hidden, whole.hidden) << threads << " threads";
    }
}

TEST_F(UnitRunnerTest, WhatAListenerThrowsEndsTheRun) {
    use(make_dna_model(folder_.path()));
    std::string text;
    for (int i = 0; i < 50; ++i) {
        text += fasta("r" + std::to_string(i), bases(5));
    }
    auto const path = file("many.fa", text);
    options_.chunk = 5;
    for (int const threads : {1, 2, 4}) {
        Diary diary;
        diary.stop_at = "row r7";
        RecordSource source({path}, source_);
        Threads pool(threads);
        EXPECT_THROW(run_units(source, model_, pool, options_, diary), std::runtime_error);
        EXPECT_EQ(diary.entries.back(), "row r7");
    }
}

TEST_F(UnitRunnerTest, AnErrorOfSetUpEndsTheRun) {
    use(make_dna_model(folder_.path()));
    auto const path = file("a.fa", fasta("a", bases(6)));
    source_.regions = {"nowhere:1-5"};
    for (int const threads : {1, 2}) {
        Recorder recorder;
        EXPECT_THROW(run({path}, recorder, threads), Error);
        EXPECT_TRUE(recorder.results.empty());
    }
}

TEST_F(UnitRunnerTest, AUnitThatTheSessionCannotHoldFailsAlone) {
    use(make_wide_model());
    auto const path =
        file("a.fa", fasta("n", "NN") + fasta("long", bases(2'000'000)) + fasta("a", "ACG") + fasta("b", "A"));
    source_.preprocessor.nucleotide.n = AmbiguousBase::skip;
    for (std::size_t const models : {1, 2, 3}) {
        std::vector<std::shared_ptr<Model const>> const replicas(models, model_);
        Diary diary;
        RecordSource source({path}, source_);
        Threads pool(static_cast<int>(models));
        auto const report = run_units(source, replicas, pool, options_, diary);
        EXPECT_EQ(diary.entries, (std::vector<std::string>{"progress 2 0", "failed long", "progress 2 0", "row a",
                                                           "progress 4 4", "row b"}));
        EXPECT_EQ(report.failed, 1);
        EXPECT_EQ(report.no_position, 1);
    }
}

TEST_F(UnitRunnerTest, AUnitThatTheSessionCannotHoldLeavesTheMarksAroundIt) {
    use(make_wide_model());
    source_.marks = true;
    auto const large = file("large.fa", fasta("long", bases(2'000'000)));
    for (index_t const chunk : {16384, 1 << 22}) { // in the larger one marks stand behind the record
        options_.chunk = chunk;
        Diary diary;
        run({large}, diary);
        std::erase_if(diary.entries, [](auto const& entry) { return entry.rfind("progress", 0) == 0; });
        EXPECT_EQ(diary.entries, (std::vector<std::string>{"begin 0", "failed long", "end 0: 0 rows, 1 failed",
                                                           "file 0: 0 rows, 0 failed"}));
    }
}

TEST_F(UnitRunnerTest, RecordsWithoutAPositionGiveNoRow) {
    use(make_dna_model(folder_.path()));
    source_.preprocessor.nucleotide.n = AmbiguousBase::skip;
    Recorder recorder;
    auto const report = run({file("a.fa", fasta("n", "NNNN") + fasta("a", "ANNC"))}, recorder);
    ASSERT_EQ(recorder.results.size(), 1U);
    EXPECT_EQ(recorder.results[0].unit.name, "a");
    EXPECT_EQ(recorder.results[0].positions, 2);
    EXPECT_EQ(report.no_position, 1);
}

TEST_F(UnitRunnerTest, PositionsAverageToThePooledVector) {
    use(make_dna_model(folder_.path()));
    auto const letters = bases(50);
    for (index_t const layer : {index_t{0}, index_t{1}, kFinalNorm}) {
        options_ = {};
        options_.layer = layer;
        auto const pooled = vector_of(letters);
        options_.positions = true;
        options_.chunk = 16;
        Recorder recorder;
        run({file("a.fa", fasta("a", letters) + fasta("b", "ACG"))}, recorder);
        ASSERT_EQ(recorder.hidden.size(), 2U);
        ASSERT_EQ(recorder.hidden[0].size(), 50 * pooled.size());
        for (std::size_t channel = 0; channel < pooled.size(); ++channel) {
            double sum = 0;
            for (std::size_t t = 0; t < 50; ++t) {
                sum += double{recorder.hidden[0][t * pooled.size() + channel]};
            }
            EXPECT_EQ(pooled[channel], static_cast<float>(sum / 50)) << "layer " << layer;
        }
    }
}

TEST_F(UnitRunnerTest, SoundRunsAsTokensAndAsFrames) {
    source_.preprocessor.input = InputKind::audio;
    source_.preprocessor.audio.sampling_rate_hz = 8000;
    auto const path = file("a.wav", wav(400, 1, 8000));
    use(make_sound_model(folder_.path()));
    Recorder tokens;
    EXPECT_EQ(run({path}, tokens).positions, 400);
    EXPECT_EQ(tokens.results.size(), 1U);

    auto const directory = make_frame_model(folder_.path());
    use(directory);
    source_.preprocessor = read_preprocessor_config(directory, model_->config());
    source_.frame_length = 16;
    options_.chunk = 5;
    Recorder frames;
    EXPECT_EQ(run({path}, frames).positions, 49);
    EXPECT_EQ(frames.results.size(), 1U);
}

} // namespace
} // namespace strandwave
