#include "lib/train/trainer.h"

#include "lib/core/error.h"
#include "lib/train/training_checkpoint.h"
#include "tests/train/train_support.h"

#include <cmath>
#include <fstream>
#include <gtest/gtest.h>
#include <numeric>

namespace strandwave {
namespace {

using test::RandomModel;

/// A classifier on disk and the state that a training of it begins with.
struct Beginning {
    RandomModel shape;
    TempDir folder;
    TensorStore store;
    ModelParameters parameters;
    TrainerState state;

    explicit Beginning(test::Dialect dialect = test::Dialect::caduceus_ps) {
        shape.dialect = dialect;
        shape.labels = 3;
        shape.d_model = 16;
        shape.write(folder.path(), shape.tensors(21));
        store = open_checkpoint(folder.path());
        parameters = find_parameters(read_model_config(folder.path(), store), store);
        state.values = read_parameters(parameters, store);
        state.moment1.assign(state.values.size(), 0.0F);
        state.moment2 = state.moment1;
    }
};

TrainerOptions options(index_t steps) {
    TrainerOptions o;
    o.steps = steps;
    o.model.dropout = 0.1F;
    o.optimizer.warmup_steps = 2;
    o.optimizer.learning_rate = 3e-3;
    o.device = test::load_options().device;
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
