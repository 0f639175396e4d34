#include "lib/train/trainer.h"

#include "lib/core/error.h"
#include "lib/train/batch_pieces.h"
#include "lib/train/training_checkpoint.h"
#include "tests/train/train_support.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

namespace strandwave {
namespace {

using test::RandomModel;

/// Of a classifier, unless something else is asked for.
struct Beginning : test::Beginning {
    explicit Beginning(test::Dialect dialect = test::Dialect::caduceus_ps, index_t labels = 3)
        : test::Beginning(dialect, labels, 21) {}
};

TrainerOptions options(index_t steps) {
    TrainerOptions o;
    o.steps = steps;
    o.model.dropout = 0.1F;
    o.optimizer.warmup_steps = 2;
    o.optimizer.learning_rate = 3e-3;
    o.device = test::load_options().device;
    o.optimizer.average_decay = 0.4;
    return o;
}

TrainBatch batch(RandomModel const& shape, index_t number) {
    return test::random_batch(shape, {20 + number % 3, 7, 31, 1, 18}, static_cast<std::uint64_t>(number));
}

TrainerState train(Beginning const& b, Threads const& threads, index_t begin, index_t end, TrainerState const& from,
                   index_t steps = 6) {
    Trainer trainer(b.parameters, from, threads, options(steps));
    for (index_t i = begin; i < end; ++i) {
        TrainBatch const batches[] = {batch(b.shape, 2 * i), batch(b.shape, 2 * i + 1)};
        trainer.step(batches);
    }
    return trainer.state();
}

void expect_same(TrainerState const& a, TrainerState const& b) {
    EXPECT_EQ(a.step, b.step);
    EXPECT_EQ(a.values, b.values);
    EXPECT_EQ(a.moment1, b.moment1);
    EXPECT_EQ(a.moment2, b.moment2);
    EXPECT_EQ(a.average, b.average);
}

TEST(Trainer, GoesOnFromACheckpointToTheSameBits) {
    Beginning const b;
    Threads const threads(2);
    auto const whole = train(b, threads, 0, 6, b.state);
    TrainingCheckpoint checkpoint;
    checkpoint.state = train(b, threads, 0, 3, b.state);
    checkpoint.run = "options of the run";
    checkpoint.best_score = 0.25;
    checkpoint.best_step = 2;
    TempDir folder;
    auto const path = folder.path() / "checkpoint.safetensors";
    write_checkpoint(path, checkpoint);
    auto const again = read_checkpoint(path, b.parameters.size);
    EXPECT_EQ(again.run, checkpoint.run);
    EXPECT_EQ(again.best_score, 0.25);
    EXPECT_EQ(again.best_step, 2);
    expect_same(again.state, checkpoint.state);
    expect_same(train(b, threads, 3, 6, again.state), whole);
    EXPECT_NE(whole.values, b.state.values);
}

/// Its decay is 2/11, 3/12, 4/13, .. and then what was asked for.
TEST(Trainer, TheAverageIsThatOfTheParametersOfAllSteps) {
    Beginning const b;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, options(8));
    auto wanted = b.state.values;
    for (index_t t = 1; t <= 8; ++t) {
        TrainBatch const one = batch(b.shape, 1); // of one shape: a GPU replays the later steps
        trainer.step({&one, 1});
        auto const state = trainer.state();
        auto const rate =
            static_cast<float>(1 - std::min(0.4, (1.0 + static_cast<double>(t)) / (10.0 + static_cast<double>(t))));
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            wanted[i] += rate * (state.values[i] - wanted[i]);
        }
        EXPECT_EQ(state.average, wanted) << "step " << t;
    }
    EXPECT_NE(wanted, trainer.state().values);
}

TEST(Trainer, EvaluatesTheAverageAndTrainsOnFromTheParameters) {
    Beginning const b;
    Threads const threads(2);
    TrainBatch const one = batch(b.shape, 1);
    Trainer asked(b.parameters, b.state, threads, options(6));
    Trainer other(b.parameters, b.state, threads, options(6));
    for (index_t i = 0; i < 6; ++i) {
        asked.step({&one, 1});
        other.step({&one, 1});
        auto const before = asked.state();
        std::vector<float> logits;
        auto const loss = asked.evaluate(one, &logits).loss;
        expect_same(asked.state(), before);

        TrainerState average = b.state;
        average.values = before.learned();
        std::vector<float> expected;
        EXPECT_EQ(Trainer(b.parameters, average, threads, options(6)).evaluate(one, &expected).loss, loss);
        EXPECT_EQ(logits, expected);
    }
    expect_same(asked.state(), other.state());
}

TEST(Trainer, TheNumberOfThreadsDoesNotMatter) {
    Beginning const b;
    expect_same(train(b, Threads(1), 0, 3, b.state), train(b, Threads(5), 0, 3, b.state));
}

TEST(Trainer, ReportsEveryStepAndTheLossFalls) {
    Beginning const b;
    Threads const threads(2);
    constexpr index_t kSteps = 300; // more than wait on a GPU
    Trainer trainer(b.parameters, b.state, threads, options(kSteps));
    TrainBatch const one = batch(b.shape, 1);
    LossSums const before = trainer.evaluate(one);
    for (index_t i = 0; i < kSteps; ++i) {
        trainer.step({&one, 1});
    }
    auto const reports = trainer.reports();
    ASSERT_EQ(reports.size(), static_cast<std::size_t>(kSteps));
    for (index_t i = 0; i < kSteps; ++i) {
        auto const& report = reports[static_cast<std::size_t>(i)];
        EXPECT_EQ(report.step, i + 1);
        EXPECT_EQ(report.sums.count, 5);
        EXPECT_GT(report.gradient_norm, 0);
    }
    EXPECT_TRUE(trainer.reports().empty());
    std::vector<float> logits;
    LossSums const after = trainer.evaluate(one, &logits);
    EXPECT_EQ(logits.size(), 15U);
    // What is left is the entropy of the targets, which are not one-hot.
    double entropy = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        float const* t = one.pooled_targets.data() + i * 3;
        double const sum = std::accumulate(t, t + 3, 0.0);
        for (int k = 0; k < 3; ++k) {
            entropy -= t[k] * std::log(t[k] / sum);
        }
    }
    EXPECT_LT(after.loss - entropy, 0.1 * (before.loss - entropy));
    EXPECT_GT(after.loss, entropy - 1e-3);
}

TEST(Trainer, LayersBelowTheFirstStayAsTheyAre) {
    Beginning const b(test::Dialect::hugging_face);
    auto o = options(3);
    o.model.first_layer = 2;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, o);
    for (index_t i = 0; i < 3; ++i) {
        TrainBatch const one = batch(b.shape, i);
        trainer.step({&one, 1});
    }
    auto const after = trainer.state();
    for (auto const& p : b.parameters.tensors) {
        bool same = true;
        for (index_t i = p.offset; i < p.offset + p.rows * p.cols; ++i) {
            same = same && after.values[static_cast<std::size_t>(i)] == b.state.values[static_cast<std::size_t>(i)];
        }
        EXPECT_EQ(same, p.layer < 2) << p.name;
    }
}

TEST(Trainer, AStepThatIsNotFiniteLeavesTheParametersAlone) {
    Beginning b;
    b.state.values[static_cast<std::size_t>(b.parameters[b.parameters.final_norm_weight].offset)] = NAN;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, options(3));
    TrainBatch const one = batch(b.shape, 1);
    trainer.step({&one, 1});
    EXPECT_FALSE(std::isfinite(trainer.reports().at(0).gradient_norm));
    auto const after = trainer.state();
    EXPECT_EQ(after.moment2, b.state.moment2);
}

/// Gradients of one step, by what AdamW's first moment takes of them.
std::vector<float> first_moment(Beginning const& b, TrainBatch const& batch, index_t piece, bool truncate,
                                double& loss) {
    TrainerOptions o;
    o.steps = 1;
    o.device = test::load_options().device;
    o.model.objective = Objective::next_token;
    o.optimizer.max_norm = 0;
    o.piece = piece;
    o.truncate = truncate;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, o);
    loss = trainer.evaluate(batch).loss;
    trainer.step({&batch, 1});
    EXPECT_NEAR(trainer.reports().at(0).sums.loss, loss, 1e-5 * loss);
    return trainer.state().moment1;
}

TEST(Pieces, GiveTheGradientsOfWholeRecordsUnlessTheyAreTruncated) {
    Beginning const b(test::Dialect::hugging_face, 0);
    auto const batch = test::random_batch(b.shape, {700, 256, 3, 513}, 8);
    double loss = 0;
    double in_pieces = 0;
    auto const whole = first_moment(b, batch, 0, false, loss);
    auto const exact = first_moment(b, batch, 256, false, in_pieces);
    EXPECT_NEAR(in_pieces, loss, 1e-5 * loss);
    EXPECT_LT(test::relative_error(exact, whole), 1e-4);
    auto const truncated = first_moment(b, batch, 256, true, in_pieces);
    EXPECT_NEAR(in_pieces, loss, 1e-5 * loss); // the state is carried all the same
    EXPECT_GT(test::relative_error(truncated, whole), 1e-4);
    EXPECT_LT(test::relative_error(truncated, whole), 0.5);
}

/// Steps of a classifier whose records are in pieces, and what it says of them then.
std::vector<StepReport> classify_in_pieces(Beginning const& b, Objective objective, index_t piece, double& loss,
                                           std::vector<float>& logits) {
    TrainerOptions o;
    o.steps = 5;
    o.device = test::load_options().device;
    o.model.objective = objective;
    o.optimizer.learning_rate = 2e-3;
    o.piece = piece;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, o);
    for (index_t i = 0; i < o.steps; ++i) {
        auto const seed = static_cast<std::uint64_t>(i);
        TrainBatch const batches[] = {test::random_batch(b.shape, {300 + 40 * i, 3, 270, 20, 20, 20}, seed),
                                      test::random_batch(b.shape, {530, 10 + i}, seed + 100)};
        trainer.step(batches);
    }
    auto const reports = trainer.reports();
    loss = trainer.evaluate(test::random_batch(b.shape, {400, 31, 257}, 99), &logits).loss;
    return reports;
}

/// Some hundred positions are added in another order, each rounding to 6e-8; what AdamW makes of it in a few steps is
/// less than what the tests of several devices allow (data_parallel_test.cpp).
TEST(Pieces, OfClassifiersAndRegressionTrainAsWholeRecordsDo) {
    Beginning const b(test::Dialect::hugging_face, 3);
    for (auto const objective : {Objective::classification, Objective::regression}) {
        double whole_loss = 0;
        double loss = 0;
        std::vector<float> whole_logits;
        std::vector<float> logits;
        auto const whole = classify_in_pieces(b, objective, 0, whole_loss, whole_logits);
        auto const pieces = classify_in_pieces(b, objective, 256, loss, logits);
        ASSERT_EQ(pieces.size(), whole.size());
        for (std::size_t i = 0; i < whole.size(); ++i) {
            EXPECT_EQ(pieces[i].sums.count, 8);
            EXPECT_NEAR(pieces[i].sums.loss, whole[i].sums.loss, 1e-6 * whole[i].sums.loss) << i;
            EXPECT_NEAR(pieces[i].gradient_norm, whole[i].gradient_norm, 1e-5 * whole[i].gradient_norm) << i;
        }
        EXPECT_NEAR(loss, whole_loss, 1e-6 * whole_loss);
        ASSERT_EQ(logits.size(), 9U);
        EXPECT_LT(test::relative_error(logits, whole_logits), 1e-5);
    }
}

TEST(Pieces, AreRefusedBeforeTheFirstStep) {
    Threads const threads(1);
    TrainerOptions o;
    o.steps = 1;
    o.device = test::load_options().device;
    o.piece = 16;
    Beginning const both_ways;
    EXPECT_THROW(Trainer(both_ways.parameters, both_ways.state, threads, o), Error);
    Beginning const b(test::Dialect::hugging_face);
    o.truncate = true;
    EXPECT_THROW(Trainer(b.parameters, b.state, threads, o), Error);
    o.truncate = false;
    Trainer(b.parameters, b.state, threads, o).evaluate(batch(b.shape, 1));
}

TEST(Checkpoint, OfAnotherModelOrCutIsRefused) {
    Beginning const b;
    TempDir folder;
    auto const path = folder.path() / "checkpoint.safetensors";
    TrainingCheckpoint checkpoint;
    checkpoint.state = b.state;
    write_checkpoint(path, checkpoint);
    EXPECT_THROW(read_checkpoint(path, b.parameters.size + 64), Error);
    std::filesystem::resize_file(path, std::filesystem::file_size(path) / 2);
    EXPECT_THROW(read_checkpoint(path, b.parameters.size), Error);
    EXPECT_THROW(read_checkpoint(folder.path() / "none", b.parameters.size), Error);
}

TEST(SplitBatch, PartsAreTheBatchInOrder) {
    RandomModel shape;
    shape.labels = 2;
    auto const whole = test::random_batch(shape, {5, 300, 2, 2, 40, 7}, 3);
    TrainBatch joined;
    auto const parts = split_batch(whole, 4, 0);
    ASSERT_EQ(parts.size(), 4U);
    for (auto const& part : parts) {
        joined.tokens.insert(joined.tokens.end(), part.tokens.begin(), part.tokens.end());
        joined.lengths.insert(joined.lengths.end(), part.lengths.begin(), part.lengths.end());
        joined.pooled_targets.insert(joined.pooled_targets.end(), part.pooled_targets.begin(),
                                     part.pooled_targets.end());
        EXPECT_EQ(part.positions(), static_cast<index_t>(part.tokens.size()));
    }
    EXPECT_EQ(joined.tokens, whole.tokens);
    EXPECT_EQ(joined.lengths, whole.lengths);
    EXPECT_EQ(joined.pooled_targets, whole.pooled_targets);
}

TEST(Schedule, RisesThenFallsAsACosine) {
    OptimizerOptions o;
    o.learning_rate = 2;
    o.warmup_steps = 10;
    o.final_share = 0.1;
    EXPECT_DOUBLE_EQ(learning_rate(o, 1, 110), 0.2);
    EXPECT_DOUBLE_EQ(learning_rate(o, 10, 110), 2);
    EXPECT_NEAR(learning_rate(o, 60, 110), 2 * (0.1 + 0.9 * 0.5), 1e-12);
    EXPECT_NEAR(learning_rate(o, 110, 110), 0.2, 1e-12);
}

} // namespace
} // namespace strandwave
