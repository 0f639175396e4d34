#include "kernels/adamw/adamw.h"

#include "kernels/adamw/adamw_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

constexpr std::uint8_t kBoth = kTrainable | kWeightDecay;

/// Four blocks: trained with and without decay, and two that are left alone.
struct Problem {
    Problem()
        : parameters(1, kCount), gradients(1, kCount), moment1(1, kCount), moment2(1, kCount), average(1, kCount),
          working(kCount) {
        Random random(7);
        parameters.fill([&] { return random.normal(); });
        gradients.fill([&] { return random.normal(); });
        moment1.fill([] { return 0.0; });
        moment2.fill([] { return 0.0; });
        average.fill([&] { return random.normal(); });
    }

    void at_step(int t) {
        step.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(step.beta1), t));
        step.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(step.beta2), t));
    }
    AdamWArgs args() {
        return {.parameters = parameters.data(),
                .gradients = gradients.data(),
                .moment1 = moment1.data(),
                .moment2 = moment2.data(),
                .flags = flags.data(),
                .count = kCount,
                .step = &step,
                .squared_norm = &norm,
                .working = working.data(),
                .average = average.data()};
    }
    void run() {
        squared_norm(gradients.data(), flags.data(), kCount, &norm);
        adamw(args());
        for (auto* matrix : {&parameters, &gradients, &moment1, &moment2, &average}) {
            matrix->expect_guards("a vector");
        }
    }
    std::vector<float> values(GuardedMatrix& of) const { return {of.data(), of.data() + kCount}; }

    static constexpr index_t kCount = 4 * kParameterBlock;
    std::vector<std::uint8_t> flags{kBoth, kWeightDecay, kTrainable, 0};
    AdamWStep step{.learning_rate = 0.01F, .weight_decay = 0.1F, .max_norm = 0.0F, .average_rate = 0.03F};
    double norm = 0;
    GuardedMatrix parameters, gradients, moment1, moment2, average;
    std::vector<bf16_t> working;
};

/// What the formula of torch.optim.AdamW gives for one parameter, worked out by hand: p = 1, g = 0.5, -0.25, 0.125.
TEST(AdamW, GivesTheNumbersOfItsFormula) {
    Problem p;
    p.step.learning_rate = 0.1F;
    p.step.weight_decay = 0.01F;
    p.parameters.fill([] { return 1.0; });
    constexpr float kGradients[] = {0.5F, -0.25F, 0.125F};
    constexpr double kWanted[] = {0.899000002, 0.8714672987, 0.8365529176};
    for (int t = 1; t <= 3; ++t) {
        p.at_step(t);
        p.gradients.fill([&] { return kGradients[t - 1]; });
        p.run();
        // The betas as floats are off by 1e-5 of 1 - beta2; in fp32 each of the few operations adds 6e-8.
        EXPECT_NEAR(p.parameters.data()[5], kWanted[t - 1], 2e-6) << "step " << t;
    }
    EXPECT_NEAR(p.moment1.data()[5], 0.0305, 1e-8);
    EXPECT_NEAR(p.moment2.data()[5], 0.00032756275, 1e-8);
}

void expect_near_reference(float max_norm) {
    Problem p;
    p.step.max_norm = max_norm;
    auto const wide = [](std::vector<float> const& from) { return std::vector<double>(from.begin(), from.end()); };
    auto const start = p.values(p.parameters);
    std::vector<float> const zeros(start.size(), 0.0F);
    auto const average = p.values(p.average);
    AdamWState<double> exact{wide(start), wide(zeros), wide(zeros), wide(average)};
    AdamWState<float> plain{start, zeros, zeros, average};
    Random random(1);
    for (int t = 1; t <= 30; ++t) {
        p.at_step(t);
        p.step.average_rate = 1.0F / static_cast<float>(t + 1);
        p.gradients.fill([&] { return std::pow(10.0, random.uniform(-6.0, 0.0)) * random.normal(); });
        p.run();
        auto const gradients = p.values(p.gradients);
        adamw_reference(exact, gradients, p.flags, p.step, t);
        adamw_reference(plain, gradients, p.flags, p.step, t);
    }
    testing::expect_within_twice(p.parameters.view(), exact.parameters.data(), plain.parameters.data());
    testing::expect_within_twice(p.moment1.view(), exact.moment1.data(), plain.moment1.data());
    testing::expect_within_twice(p.moment2.view(), exact.moment2.data(), plain.moment2.data());
    testing::expect_within_twice(p.average.view(), exact.average.data(), plain.average.data());
}

TEST(AdamW, IsWithinTwiceTheErrorOfAPlainLoop) {
    testing::on_every_simd_target([] {
        expect_near_reference(0.0F);
        expect_near_reference(0.5F); // clips every step
        expect_near_reference(1e6F); // clips none
    });
}

TEST(AdamW, EveryInstructionSetGivesTheSameBits) {
    std::vector<float> first;
    std::vector<float> average;
    testing::on_every_simd_target([&] {
        Problem p;
        for (int t = 1; t <= 5; ++t) {
            p.at_step(t);
            p.run();
        }
        if (first.empty()) {
            first = p.values(p.parameters);
            average = p.values(p.average);
        }
        EXPECT_EQ(p.values(p.parameters), first);
        EXPECT_EQ(p.values(p.average), average);
    });
}

TEST(AdamW, LeavesOtherBlocksAloneAndRoundsThemAll) {
    Problem p;
    auto const before = p.values(p.parameters);
    auto const average = p.values(p.average);
    p.at_step(1);
    p.run();
    auto const after = p.values(p.parameters);
    for (std::size_t i = 0; i < after.size(); ++i) {
        bool const trained = (p.flags[i / kParameterBlock] & kTrainable) != 0;
        EXPECT_EQ(after[i] != before[i], trained) << i;
        EXPECT_EQ(p.moment1.data()[i] != 0.0F, trained) << i;
        EXPECT_EQ(p.average.data()[i] != average[i], trained) << i;
        EXPECT_EQ(p.working[i].bits, to_bf16(after[i]).bits) << i;
    }
}

TEST(AdamW, DecaysWhereItsFlagIsSetOnly) {
    Problem p;
    p.gradients.fill([] { return 0.0; });
    auto const before = p.values(p.parameters);
    p.at_step(1);
    p.run();
    for (std::size_t i = 0; i < before.size(); ++i) {
        float const factor = p.flags[i / kParameterBlock] == kBoth ? 1.0F - 0.01F * 0.1F : 1.0F;
        EXPECT_EQ(p.parameters.data()[i], before[i] * factor);
    }
}

TEST(AdamW, ClipsByTheNormOfTrainableBlocks) {
    Problem p;
    p.gradients.fill([] { return 0.5; });
    p.gradients.data()[kParameterBlock] = std::numeric_limits<float>::infinity(); // of a block that is not trained
    p.step.max_norm = 1.0F;
    p.at_step(1);
    p.run();
    EXPECT_DOUBLE_EQ(p.norm, 2 * kParameterBlock * 0.25);
    auto const clip = static_cast<float>(1.0 / (std::sqrt(p.norm) + 1e-6));
    EXPECT_FLOAT_EQ(p.moment1.data()[0], (1.0F - 0.9F) * 0.5F * clip);
}

TEST(AdamW, AStepThatOverflowedIsLeftOut) {
    for (float const bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        Problem p;
        auto const before = p.values(p.parameters);
        auto const average = p.values(p.average);
        p.gradients.data()[3] = bad;
        p.at_step(1);
        p.run();
        EXPECT_FALSE(std::isfinite(p.norm));
        EXPECT_EQ(p.values(p.parameters), before);
        EXPECT_EQ(p.values(p.average), average);
        EXPECT_EQ(p.values(p.moment1), std::vector<float>(before.size(), 0.0F));
        EXPECT_EQ(p.values(p.moment2), std::vector<float>(before.size(), 0.0F));
        EXPECT_EQ(p.working[3].bits, to_bf16(before[3]).bits);
    }
}

/// Of parameters that stay where they are: average - p shrinks by 1 - rate a step.
TEST(AdamW, TheAverageGoesToTheParameters) {
    Problem p;
    p.flags.assign(4, kTrainable);
    p.gradients.fill([] { return 0.0; });
    p.parameters.fill([] { return 2.0; });
    p.average.fill([] { return -6.0; });
    p.step.average_rate = 0.25F;
    for (int t = 1; t <= 3; ++t) {
        p.at_step(t);
        p.run();
    }
    EXPECT_EQ(p.values(p.average), std::vector<float>(Problem::kCount, 2.0F - 8.0F * 0.75F * 0.75F * 0.75F));
    EXPECT_EQ(p.values(p.parameters), std::vector<float>(Problem::kCount, 2.0F));
}

TEST(AdamW, NeedsNeitherNormNorWorkingCopyNorAverage) {
    Problem with;
    Problem without;
    with.at_step(1);
    without.at_step(1);
    with.run();
    auto args = without.args();
    args.squared_norm = nullptr;
    args.working = nullptr;
    args.average = nullptr;
    adamw(args);
    EXPECT_EQ(with.values(with.parameters), without.values(without.parameters));
    args.count = 0;
    adamw(args);
}

TEST(AdamW, RefusesAPartOfABlock) {
    Problem p;
    auto args = p.args();
    args.count = 100;
    EXPECT_THROW(adamw(args), Error);
    EXPECT_THROW(squared_norm(p.gradients.data(), p.flags.data(), 100, &p.norm), Error);
}

} // namespace
} // namespace strandwave
