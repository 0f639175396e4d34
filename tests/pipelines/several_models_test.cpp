#include "pipelines/unit_runner.h"

#include "tests/pipelines/run_listeners.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <stdexcept>

namespace strandwave {
namespace {

constexpr int kRepeats = 20;

/// Runs on several models, each with a session and a thread of its own. What counts is that nothing shows it.
class SeveralModelsTest : public testing::Test {
protected:
    void use(std::filesystem::path const& directory) {
        models_ = {Model::load(directory), Model::load(directory), Model::load(directory)};
        source_.whole_units = models_[0]->config().bidirectional;
    }

    RunReport run(std::size_t models, int threads, UnitListener& listener) {
        RecordSource source(files_, source_);
        Threads pool(threads);
        return run_units(source, Models(models_).first(models), pool, options_, listener);
    }

    void expect_nothing_shows(int repeats = kRepeats) {
        Recorder one;
        auto const report = run(1, 2, one);
        for (int repeat = 0; repeat < repeats; ++repeat) {
            for (std::size_t const models : {2, 3}) {
                int const threads = 1 + repeat % 4;
                Recorder several;
                expect_equal(run(models, threads, several), report);
                expect_equal(several, one);
                ASSERT_FALSE(HasFailure()) << models << " models, " << threads << " threads, repeat " << repeat;
            }
        }
    }

    static void expect_equal(RunReport const& a, RunReport const& b) {
        EXPECT_EQ(a.rows, b.rows);
        EXPECT_EQ(a.positions, b.positions);
        EXPECT_EQ(a.failed, b.failed);
        EXPECT_EQ(a.no_position, b.no_position);
        EXPECT_EQ(a.source.records, b.source.records);
        EXPECT_EQ(a.source.source_symbols, b.source.source_symbols);
    }

    static void expect_equal(Recorder const& a, Recorder const& b) {
        EXPECT_EQ(a.hidden, b.hidden);
        ASSERT_EQ(a.results.size(), b.results.size());
        for (std::size_t i = 0; i < a.results.size(); ++i) {
            EXPECT_EQ(a.results[i].unit.name, b.results[i].unit.name);
            EXPECT_EQ(a.results[i].unit.start, b.results[i].unit.start);
            EXPECT_EQ(a.results[i].unit.end, b.results[i].unit.end);
            EXPECT_EQ(a.results[i].positions, b.results[i].positions);
            EXPECT_EQ(a.results[i].vector, b.results[i].vector);
        }
        ASSERT_EQ(a.failures.size(), b.failures.size());
        for (std::size_t i = 0; i < a.failures.size(); ++i) {
            EXPECT_EQ(a.failures[i].unit.name, b.failures[i].unit.name);
            EXPECT_EQ(a.failures[i].error.message(), b.failures[i].error.message());
        }
    }

    std::filesystem::path file(std::string const& name, std::string const& content) {
        return write_text(folder_.path() / name, content);
    }

    /// Short units, units of many feeds, units that fail at once and behind many feeds, and a file that breaks.
    void write_mixed_files() {
        std::string text;
        for (int i = 0; i < 90; ++i) {
            auto letters = bases(i % 11 == 4 ? 300 : 1 + i % 29, static_cast<std::uint32_t>(i));
            if (i % 13 == 6) { letters += "J"; }
            text += fasta("r" + std::to_string(i), letters);
        }
        files_ = {file("a.fa", text), file("torn.fq", "@last\nACGT\n+\nIIII\n@torn\nAC"),
                  file("b.fa", fasta("end", bases(50)))};
        options_.chunk = 32;
    }

    TempDir folder_;
    std::vector<std::shared_ptr<Model const>> models_;
    std::vector<std::filesystem::path> files_;
    RecordSourceOptions source_;
    UnitRunOptions options_;
};

TEST_F(SeveralModelsTest, RowsAndFailuresAreThoseOfOneModel) {
    use(make_dna_model(folder_.path()));
    write_mixed_files();
    expect_nothing_shows();
    options_.logits = true;
    expect_nothing_shows(2);
}

TEST_F(SeveralModelsTest, WindowsAndStrandsAreAveragedAcrossSessions) {
    use(make_dna_model(folder_.path()));
    write_mixed_files();
    source_.window = Extent::parse("10");
    source_.preprocessor.strand = StrandPolicy::both;
    expect_nothing_shows();
    options_.per_record = true;
    expect_nothing_shows();
}

TEST_F(SeveralModelsTest, PositionsAreThoseOfOneModel) {
    use(make_dna_model(folder_.path()));
    write_mixed_files();
    source_.in_memory = true;
    options_.positions = true;
    expect_nothing_shows();
}

TEST_F(SeveralModelsTest, WholeRecordsAndFramesToo) {
    for (bool const rcps : {false, true}) {
        use(make_caduceus_model(folder_.path(), rcps));
        write_mixed_files();
        expect_nothing_shows();
    }
    auto const directory = make_frame_model(folder_.path());
    use(directory);
    source_.preprocessor = read_preprocessor_config(directory, models_[0]->config());
    source_.frame_length = 16;
    files_ = {file("a.wav", wav(400, 1, 8000)), file("b.wav", wav(100, 1, 8000)), file("c.wav", wav(16, 1, 8000))};
    options_.chunk = 5;
    expect_nothing_shows();
}

TEST_F(SeveralModelsTest, TheListenerHearsRowsAndFailuresInInputOrder) {
    use(make_dna_model(folder_.path()));
    std::string text;
    std::vector<std::string> expected;
    for (int i = 0; i < 200; ++i) {
        auto const name = "r" + std::to_string(i);
        bool const fails = i % 7 == 3;
        text += fasta(name, fails ? "ACJ" : bases(i % 5 == 0 ? 70 : 1 + i % 29));
        expected.push_back((fails ? "failed " : "row ") + name);
    }
    files_ = {file("many.fa", text)};
    options_.chunk = 10;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        Diary diary;
        run(2 + repeat % 2U, 1 + repeat % 4, diary);
        std::erase_if(diary.entries, [](auto const& entry) { return entry.rfind("progress", 0) == 0; });
        EXPECT_EQ(diary.entries, expected);
    }
}

TEST_F(SeveralModelsTest, WhatAListenerThrowsEndsTheRunWithFeedsUnderWay) {
    use(make_dna_model(folder_.path()));
    write_mixed_files();
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        Diary diary;
        diary.stop_at = "row r7";
        EXPECT_THROW(run(2 + repeat % 2U, 1 + repeat % 4, diary), std::runtime_error);
        EXPECT_EQ(diary.entries.back(), "row r7");
    }
}

TEST_F(SeveralModelsTest, TheFirstErrorOfASessionIsThrownBehindAllThatCameBefore) {
    use(make_dna_model(folder_.path()));
    auto const narrow = Model::load(make_model(folder_.path(), "narrow", mamba_config(8), {})); // of the bases only A
    models_ = {models_[0], narrow, narrow};
    std::string text;
    std::vector<std::string> expected;
    for (int i = 0; i < 60; ++i) { // a feed each
        auto letters = std::string(6, 'A');
        if (i == 30 || i == 31 || i == 32) { letters[static_cast<std::size_t>(i) % 6] = 'C'; }
        text += fasta("r" + std::to_string(i), letters);
        if (i < 30) { expected.push_back("row r" + std::to_string(i)); } // r30 is not known to be over
    }
    files_ = {file("many.fa", text)};
    options_.chunk = 6;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        for (std::size_t const models : {2, 3}) {
            Diary diary;
            try {
                run(models, 1 + repeat % 4, diary);
                ADD_FAILURE() << "nothing was thrown";
            } catch (Error const& error) {
                EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
                EXPECT_NE(error.message().find("token 8 at position 1 "), std::string::npos) << error.message();
            }
            EXPECT_EQ(diary.entries.back(), "progress 31 186");
            std::erase_if(diary.entries, [](auto const& entry) { return entry.rfind("progress", 0) == 0; });
            EXPECT_EQ(diary.entries, expected);
        }
    }
}

TEST_F(SeveralModelsTest, ErrorsOfSetUpEndTheRun) {
    use(make_dna_model(folder_.path()));
    files_ = {file("a.fa", fasta("a", bases(6)))};
    Recorder recorder;
    EXPECT_THROW(run(0, 2, recorder), Error);
    source_.regions = {"nowhere:1-5"};
    for (int const threads : {1, 2}) {
        EXPECT_THROW(run(2, threads, recorder), Error);
    }
    EXPECT_TRUE(recorder.results.empty());
}

} // namespace
} // namespace strandwave
