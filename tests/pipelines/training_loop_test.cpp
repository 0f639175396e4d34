#include "pipelines/training_loop.h"

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

/// Writes down what it is told, and stops behind step `stop_behind`.
class Notes final : public TrainingListener {
public:
    void progress(TrainingProgress const& p) override {
        reported.push_back(p.step);
        positions += p.positions;
    }
    void validated(Validation const& v, Trainer& trainer) override {
        validations.push_back(v);
        EXPECT_EQ(v.step, trainer.steps_done());
    }
    void checkpoint(TrainingCheckpoint const& c) override { checkpoints.push_back(c.state.step); }
    bool stop() override { return ++asked == stop_behind; }

    std::vector<index_t> reported, checkpoints;
    std::vector<Validation> validations;
    index_t positions = 0;
    index_t asked = 0;
    index_t stop_behind = 0;
};

/// A classifier of three classes, trained on records of one letter each.
class TrainingLoop : public testing::Test {
protected:
    static constexpr index_t kHeldOut = 6;
    static constexpr std::int32_t kFirstLetter = 7; // A of the vocabulary `caduceus`

    TrainingLoop() {
        options_.steps = 12;
        options_.report_every = 4;
        options_.validate_every = 3;
        options_.checkpoint_every = 5;
        options_.accumulate = 2;
        data_.training = [](index_t number, TrainBatch& batch) {
            batch.clear();
            add(number % 3, 5 + number % 4, batch);
            add((number + 1) % 3, 9, batch);
        };
        data_.validation = [](index_t first, TrainBatch& batch) {
            batch.clear();
            index_t const count = std::min<index_t>(4, kHeldOut - first);
            for (index_t i = first; i < first + count; ++i) {
                add(i % 3, 8, batch);
            }
            return count;
        };
        data_.describe = [](TrainBatch const& batch) { return "example " + std::to_string(batch.examples.at(0)); };
        begin();
    }

    static void add(index_t label, index_t length, TrainBatch& batch) {
        batch.tokens.insert(batch.tokens.end(), static_cast<std::size_t>(length),
                            kFirstLetter + static_cast<std::int32_t>(label));
        batch.lengths.push_back(length);
        batch.examples.push_back(label);
        for (index_t k = 0; k < 3; ++k) {
            batch.pooled_targets.push_back(k == label ? 1.0F : 0.0F);
        }
    }

    void begin() {
        checkpoint_ = {};
        checkpoint_.state.values = read_parameters(parameters_, store_);
        checkpoint_.state.moment1.assign(checkpoint_.state.values.size(), 0.0F);
        checkpoint_.state.moment2 = checkpoint_.state.moment1;
    }

    Trainer trainer() const {
        TrainerOptions options;
        options.model.objective = Objective::classification;
        options.steps = options_.steps;
        options.optimizer.learning_rate = 0.02;
        return {parameters_, checkpoint_.state, threads_, options};
    }

    bool run(Notes& notes) {
        auto one = trainer();
        return run_training(one, threads_, data_, options_, checkpoint_, notes);
    }

    TempDir temp_;
    std::filesystem::path model_ = make_dna_model(temp_.path());
    TensorStore store_ = open_checkpoint(model_);
    ModelParameters parameters_ = find_parameters(read_model_config(model_, store_), store_);
    Threads threads_{2};
    TrainingData data_;
    TrainingLoopOptions options_;
    TrainingCheckpoint checkpoint_;
};

using Steps = std::vector<index_t>;

TEST_F(TrainingLoop, ReportsValidatesAndKeepsInTime) {
    Notes notes;
    EXPECT_TRUE(run(notes));
    EXPECT_EQ(notes.reported, (Steps{3, 4, 5, 6, 8, 9, 10, 12})) << "also in front of a validation or a checkpoint";
    EXPECT_EQ(notes.checkpoints, (Steps{5, 10, 12}));
    Steps validated;
    for (auto const& v : notes.validations) {
        validated.push_back(v.step);
        EXPECT_EQ(v.sums.count, kHeldOut);
        EXPECT_DOUBLE_EQ(v.score, -v.sums.loss / kHeldOut);
    }
    EXPECT_EQ(validated, (Steps{3, 6, 9, 12}));
    EXPECT_EQ(checkpoint_.state.step, 12);
    EXPECT_EQ(notes.asked, 11) << "the last step ends the run by itself";
    index_t positions = 0;
    for (index_t number = 0; number < 24; ++number) {
        positions += 5 + number % 4 + 9;
    }
    EXPECT_EQ(notes.positions, positions);
}

TEST_F(TrainingLoop, KeepsTheBestValidation) {
    Notes notes;
    run(notes);
    double best = -std::numeric_limits<double>::infinity();
    index_t step = 0;
    for (auto const& v : notes.validations) {
        EXPECT_EQ(v.best, v.score > best) << v.step;
        if (v.best) {
            best = v.score;
            step = v.step;
        }
    }
    EXPECT_EQ(checkpoint_.best_step, step);
    EXPECT_EQ(checkpoint_.best_score, best);
    EXPECT_GT(best, notes.validations.front().score) << "records of one letter are learnt";
}

TEST_F(TrainingLoop, StopsWithACheckpointAndGoesOnToTheSameBits) {
    Notes whole;
    run(whole);
    auto const expected = checkpoint_;

    begin();
    Notes first;
    first.stop_behind = 7;
    EXPECT_FALSE(run(first));
    EXPECT_EQ(checkpoint_.state.step, 7);
    EXPECT_EQ(first.checkpoints, (Steps{5, 7}));
    EXPECT_EQ(first.reported, (Steps{3, 4, 5, 6, 7}));

    Notes second;
    EXPECT_TRUE(run(second));
    EXPECT_EQ(second.reported, (Steps{8, 9, 10, 12}));
    EXPECT_EQ(checkpoint_.state.step, 12);
    EXPECT_EQ(checkpoint_.state.values, expected.state.values);
    EXPECT_EQ(checkpoint_.state.moment1, expected.state.moment1);
    EXPECT_EQ(checkpoint_.state.moment2, expected.state.moment2);
    EXPECT_EQ(checkpoint_.best_step, expected.best_step);
    EXPECT_EQ(checkpoint_.best_score, expected.best_score);

    Notes none;
    EXPECT_TRUE(run(none)) << "a run that is over is left as it is";
    EXPECT_TRUE(none.reported.empty() && none.checkpoints.empty() && none.validations.empty());
}

TEST_F(TrainingLoop, EndsAtTheScoreThatWasAskedFor) {
    options_.score = Score::accuracy;
    options_.steps = 400;
    options_.target_score = 1;
    Notes notes;
    EXPECT_TRUE(run(notes));
    ASSERT_LT(checkpoint_.state.step, 400) << "three letters are easy";
    EXPECT_EQ(notes.validations.back().score, 1);
    EXPECT_EQ(notes.validations.back().step, checkpoint_.state.step);
    EXPECT_EQ(notes.checkpoints.back(), checkpoint_.state.step);
}

TEST_F(TrainingLoop, WithoutValidationNothingIsBest) {
    data_.validation = nullptr;
    Notes notes;
    EXPECT_TRUE(run(notes));
    EXPECT_TRUE(notes.validations.empty());
    EXPECT_EQ(checkpoint_.best_step, 0);
}

TEST_F(TrainingLoop, ScoresAreThoseOfTheWholeValidationSet) {
    auto one = trainer();
    TrainBatch batch;
    std::vector<float> logits;
    LossSums all;
    for (index_t first = 0; first < kHeldOut; first += data_.validation(first, batch)) {
        data_.validation(first, batch);
        auto const sums = one.evaluate(batch, &logits);
        all.loss += sums.loss;
        all.correct += sums.correct;
    }
    EXPECT_DOUBLE_EQ(validate(one, data_, Score::loss).score, -all.loss / kHeldOut);
    EXPECT_DOUBLE_EQ(validate(one, data_, Score::accuracy).score, all.correct / kHeldOut);
    auto const correlation = validate(one, data_, Score::matthews);
    EXPECT_GE(correlation.score, -1);
    EXPECT_LE(correlation.score, 1);
    EXPECT_EQ(correlation.sums.correct, all.correct);
}

TEST_F(TrainingLoop, ALossThatIsNotFiniteNamesStepAndRecords) {
    auto const training = data_.training;
    data_.training = [training](index_t number, TrainBatch& batch) {
        training(number, batch);
        if (number == 13) { // the second batch of step 7
            batch.pooled_targets[0] = std::numeric_limits<float>::quiet_NaN();
            batch.examples[0] = 4711;
        }
    };
    Notes notes;
    try {
        run(notes);
        FAIL() << "no error";
    } catch (Error const& error) {
        std::string const text = error.what();
        EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
        EXPECT_NE(text.find("step 7:"), std::string::npos) << text;
        EXPECT_NE(text.find("example 4711"), std::string::npos) << text;
    }
    EXPECT_EQ(notes.checkpoints, (Steps{5})) << "the last one before";
}

TEST_F(TrainingLoop, WhatIsNotFiniteIsNeverKept) {
    auto const training = data_.training;
    data_.training = [training](index_t number, TrainBatch& batch) {
        training(number, batch);
        if (number == 13) { batch.pooled_targets[0] = std::numeric_limits<float>::quiet_NaN(); } // step 7
    };
    data_.validation = nullptr;
    options_.report_every = 1000;
    options_.checkpoint_every = 1;
    Notes notes;
    EXPECT_THROW(run(notes), Error);
    EXPECT_EQ(notes.checkpoints, (Steps{1, 2, 3, 4, 5, 6}));
}

} // namespace
} // namespace strandwave
