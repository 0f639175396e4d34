#include "lib/core/error.h"
#include "lib/cuda/gpus.h"
#include "lib/cuda/nccl.h"
#include "lib/train/gradient_exchange.h"
#include "lib/train/trainer.h"
#include "tests/train/train_support.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <map>

namespace strandwave {
namespace {

using test::RandomModel;

/// Adds gradients of the processor in order.
class HostExchange : public GradientExchange {
public:
    explicit HostExchange(std::size_t replicas) : replicas_(replicas) {}
    std::vector<Device> devices() const override { return std::vector<Device>(replicas_); }
    std::string name() const override { return "host"; }
    void sum(std::span<Part const> parts, index_t count) override {
        ++sums;
        Matrix const all{parts[0].gradients, DType::f32, 1, count};
        for (auto const& part : parts.subspan(1)) {
            parts[0].ops->add({part.gradients, DType::f32, 1, count}, all);
        }
        for (auto const& part : parts.subspan(1)) {
            part.ops->copy_bytes(part.gradients, parts[0].gradients, count * dtype_bytes(DType::f32));
        }
    }
    index_t sums = 0; ///< calls

private:
    std::size_t replicas_;
};

/// Forgets all but the first replica.
class ForgetfulExchange final : public HostExchange {
public:
    using HostExchange::HostExchange;
    void sum(std::span<Part const>, index_t) override {}
};

/// Of replicas on the processor or, where STRANDWAVE_TEST_DEVICE is a GPU, on the first GPUs, joined once.
std::shared_ptr<GradientExchange> exchange_of(std::size_t replicas) {
    if (!test::load_options().device.is_gpu()) { return std::make_shared<HostExchange>(replicas); }
    static auto* const known = new std::map<std::size_t, std::shared_ptr<GradientExchange>>; // CUDA is gone at the end
    auto& exchange = (*known)[replicas];
    std::vector<Device> gpus;
    auto const found = find_gpus().value();
    for (auto const& gpu : found) {
        if (gpus.size() < replicas) { gpus.push_back({gpu.index}); }
    }
    if (!exchange) { exchange = make_nccl_exchange(gpus); }
    return exchange;
}

/// GPUs that tests may take; of the processor there is always another.
bool can_have(std::size_t replicas) {
    return !test::load_options().device.is_gpu() || find_gpus().value().size() >= replicas;
}

constexpr double kMaxNorm = 0.1; ///< below the norm of the gradients: steps are clipped

struct Beginning : test::Beginning {
    Beginning(test::Dialect dialect, index_t labels) : test::Beginning(dialect, labels, 5) {}

    TrainerOptions options(index_t steps) const {
        TrainerOptions o;
        o.steps = steps;
        o.device = test::load_options().device;
        o.model.objective = test::objective_of(shape);
        o.optimizer.learning_rate = 2e-3;
        o.optimizer.warmup_steps = 2;
        o.optimizer.average_decay = 0.9;
        o.optimizer.max_norm = kMaxNorm;
        return o;
    }
};

/// The batches of each step.
using Batches = std::vector<std::vector<TrainBatch>>;

struct Curve {
    std::vector<StepReport> reports;
    TrainerState state;
};

Curve train(Beginning const& b, TrainerOptions options, std::size_t replicas, Batches const& steps,
            TrainerState const& from) {
    if (replicas > 0) { options.exchange = exchange_of(replicas); }
    Threads const threads(2);
    Trainer trainer(b.parameters, from, threads, options);
    for (auto const& batches : steps) {
        trainer.step(batches);
    }
    Curve curve{trainer.reports(), trainer.state()};
    for (std::size_t i = 1; i < replicas; ++i) {
        auto const other = trainer.state(static_cast<index_t>(i));
        EXPECT_EQ(other.values, curve.state.values) << "replica " << i;
        EXPECT_EQ(other.moment2, curve.state.moment2) << "replica " << i;
        EXPECT_EQ(other.average, curve.state.average) << "replica " << i;
    }
    return curve;
}

/// What is stated of the curves, relative: gradients are sums in fp32 (2^-24 = 6e-8 a rounding) over some hundred rows
/// and four layers, in another order, and AdamW takes steps of learning_rate whose sign is the rounding's where a
/// gradient is all but zero.
constexpr double kSameCurve = 1e-6;

void expect_same_curve(Curve const& parts, Curve const& whole) {
    ASSERT_EQ(parts.reports.size(), whole.reports.size());
    for (std::size_t i = 0; i < whole.reports.size(); ++i) {
        auto const& p = parts.reports[i];
        auto const& w = whole.reports[i];
        EXPECT_EQ(p.step, w.step);
        EXPECT_EQ(p.sums.count, w.sums.count);
        EXPECT_GT(w.gradient_norm, kMaxNorm);
        EXPECT_NEAR(p.sums.loss, w.sums.loss, kSameCurve * w.sums.loss) << "step " << w.step;
        EXPECT_NEAR(p.gradient_norm, w.gradient_norm, 10 * kSameCurve * w.gradient_norm) << "step " << w.step;
    }
}

Batches make_batches(Beginning const& b, std::vector<std::vector<index_t>> const& lengths, index_t steps,
                     std::size_t accumulate = 1) {
    Batches all;
    for (index_t i = 0; i < steps; ++i) {
        auto& batches = all.emplace_back();
        for (std::size_t k = 0; k < accumulate; ++k) {
            auto const n = static_cast<std::size_t>(i) * accumulate + k;
            batches.push_back(test::random_batch(b.shape, lengths[n % lengths.size()], n));
        }
    }
    return all;
}

class DataParallel : public testing::TestWithParam<std::size_t> {
protected:
    void SetUp() override {
        if (!can_have(GetParam())) { GTEST_SKIP() << "SKIPPED: fewer GPUs than replicas"; }
    }
};
INSTANTIATE_TEST_SUITE_P(Replicas, DataParallel, testing::Values(2, 3));

// Weighted classes: targets of a record add up to anything. Records are of unequal lengths, so parts of unequal
// numbers.
TEST_P(DataParallel, ClassifiersHaveTheCurveOfOneDevice) {
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto const batches = make_batches(b, {{20, 7, 31, 1, 18, 9, 40, 12}, {5, 5, 5, 60, 5, 5, 5, 2}}, 12);
    auto const whole = train(b, b.options(12), 0, batches, b.state);
    expect_same_curve(train(b, b.options(12), GetParam(), batches, b.state), whole);
}

// Positions that count differ from part to part: a mean of means would not be the mean.
TEST_P(DataParallel, TokensHaveTheCurveOfOneDevice) {
    Beginning const b(test::Dialect::hugging_face, 0);
    auto batches = make_batches(b, {{30, 30}, {30, 29, 30}}, 12, 2);
    for (auto& step : batches) {
        auto& targets = step.front().token_targets;
        std::fill(targets.begin() + 3, targets.begin() + 30, -1);
    }
    auto const whole = train(b, b.options(12), 0, batches, b.state);
    expect_same_curve(train(b, b.options(12), GetParam(), batches, b.state), whole);
}

TEST_P(DataParallel, ABatchMayHaveFewerRecordsThanReplicas) {
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto const batches = make_batches(b, {{25}, {14, 3}}, 10);
    auto const whole = train(b, b.options(10), 0, batches, b.state);
    expect_same_curve(train(b, b.options(10), GetParam(), batches, b.state), whole);
}

TEST_P(DataParallel, PiecesOfRecordsAndTheirState) {
    Beginning const b(test::Dialect::hugging_face, 0);
    auto o = b.options(5);
    o.piece = 16;
    auto const batches = make_batches(b, {{70, 16, 3, 40}}, 5);
    auto const whole = train(b, o, 0, batches, b.state);
    expect_same_curve(train(b, o, GetParam(), batches, b.state), whole);
}

TEST_P(DataParallel, PiecesOfRecordsThatHaveAClass) {
    Beginning const b(test::Dialect::hugging_face, 3);
    auto o = b.options(5);
    o.piece = 16;
    auto const batches = make_batches(b, {{70, 17, 3, 40}, {5, 90}}, 5);
    auto const whole = train(b, o, 0, batches, b.state);
    expect_same_curve(train(b, o, GetParam(), batches, b.state), whole);
}

TEST_P(DataParallel, EvaluationIsThatOfOneDevice) {
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto const batch = test::random_batch(b.shape, {20, 7, 31, 1, 18}, 1);
    Threads const threads(2);
    auto o = b.options(1);
    Trainer one(b.parameters, b.state, threads, o);
    o.exchange = exchange_of(GetParam());
    Trainer several(b.parameters, b.state, threads, o);
    std::vector<float> expected;
    std::vector<float> logits;
    for (auto* trainer : {&one, &several}) {
        trainer->step({&batch, 1}); // so that the average is not the parameters
    }
    double const loss = one.evaluate(batch, &expected).loss;
    EXPECT_NEAR(several.evaluate(batch, &logits).loss, loss, kSameCurve * loss);
    EXPECT_LT(test::relative_error(logits, expected), kSameCurve);
}

TEST(DataParallelRun, GoesOnWithTheSameAndAnotherNumberOfReplicas) {
    if (!can_have(2)) { GTEST_SKIP() << "SKIPPED: one GPU"; }
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto const batches = make_batches(b, {{20, 7, 31, 1}, {5, 9, 5, 40, 3}}, 10);
    Batches const first(batches.begin(), batches.begin() + 5);
    Batches const second(batches.begin() + 5, batches.end());
    auto const whole = train(b, b.options(10), 2, batches, b.state);
    auto const half = train(b, b.options(10), 2, first, b.state);
    auto const same = train(b, b.options(10), 2, second, half.state);
    EXPECT_EQ(same.state.values, whole.state.values);
    EXPECT_EQ(same.state.moment2, whole.state.moment2);
    EXPECT_EQ(same.state.average, whole.state.average);
    Curve const rest{{whole.reports.begin() + 5, whole.reports.end()}, {}};
    for (std::size_t const replicas : {0, 1, 3}) {
        if (!can_have(replicas)) { continue; }
        expect_same_curve(train(b, b.options(10), replicas, second, half.state), rest);
    }
}

TEST(DataParallelRun, GradientsAreAddedOnceAStep) {
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto o = b.options(3);
    auto const exchange = std::make_shared<HostExchange>(2);
    o.exchange = exchange;
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, o);
    for (auto const& step : make_batches(b, {{9, 9}, {8, 8, 8}}, 3, 2)) {
        trainer.step(step);
    }
    EXPECT_EQ(exchange->sums, 3);
}

TEST(DataParallelRun, ReplicasThatDisagreeAreAnError) {
    Beginning const b(test::Dialect::caduceus_ps, 3);
    auto o = b.options(2);
    o.exchange = std::make_shared<ForgetfulExchange>(2);
    Threads const threads(2);
    Trainer trainer(b.parameters, b.state, threads, o);
    trainer.step(make_batches(b, {{9, 9}}, 1).front());
    EXPECT_THROW(trainer.reports(), Error);
}

TEST(NcclLibrary, ThatIsNotThereIsAnErrorThatSaysWhatToInstall) {
    std::array const gpus = {0, 1};
    try {
        Nccl const nccl(gpus, "libof_nobody.so.2");
        FAIL();
    } catch (Error const& error) {
        EXPECT_EQ(error.code(), ErrorCode::device);
        EXPECT_NE(error.message().find("libof_nobody.so.2"), std::string::npos) << error.message();
        EXPECT_NE(error.message().find("install libnccl2"), std::string::npos) << error.message();
    }
    EXPECT_THROW(Nccl(gpus, "libc.so.6"), Error); // there, but not NCCL
}

} // namespace
} // namespace strandwave
