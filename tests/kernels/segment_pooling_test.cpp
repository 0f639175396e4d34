#include "kernels/pooling/segment_pooling.h"

#include "kernels/pooling/segment_pooling_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <gtest/gtest.h>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

constexpr Pooling kPoolings[] = {Pooling::mean, Pooling::max, Pooling::first, Pooling::last};
constexpr index_t kRows = 90;
constexpr index_t kWidth = 7;
constexpr index_t kOuts = 4;

/// Two strands of one record, a record of one row, one of none, rows of no segment; out row 1 stays empty.
std::vector<PooledSegment> segments() {
    return {{2, 20, 3, 0.5F}, {22, 1, 0, 1.0F}, {23, 0, 1, 1.0F}, {30, 20, 3, 0.5F}, {60, 30, 2, 2.0F}};
}

struct Problem {
    Problem()
        : x(kRows, kWidth, 3), pooled(kOuts, kWidth, 2), dpooled(kOuts, kWidth, 1), dx(kRows, kWidth, 5),
          all(segments()) {
        Random random(4);
        x.fill([&] { return random.normal() - 2.0; });
        dpooled.fill([&] { return random.normal(); });
    }

    template <class Real>
    std::vector<Real> values() {
        std::vector<Real> all_values;
        for (index_t r = 0; r < kRows; ++r) {
            for (index_t c = 0; c < kWidth; ++c) {
                all_values.push_back(static_cast<Real>(x.view()(r, c)));
            }
        }
        return all_values;
    }
    SegmentPoolingBackwardArgs backward(Pooling pooling) { return {pooling, x.view(), all, dpooled.view(), dx.view()}; }

    GuardedMatrix x, pooled, dpooled, dx;
    std::vector<PooledSegment> all;
};

TEST(SegmentPooling, IsWithinTwiceTheErrorOfAPlainLoop) {
    for (auto const pooling : kPoolings) {
        SCOPED_TRACE(static_cast<int>(pooling));
        Problem p;
        segment_pooling({pooling, p.x.view(), p.all, p.pooled.view()});
        auto const exact = segment_pooling_reference(pooling, p.values<double>(), kWidth, p.all, kOuts);
        auto const plain = segment_pooling_reference(pooling, p.values<float>(), kWidth, p.all, kOuts);
        testing::expect_within_twice(p.pooled.view(), exact.data(), plain.data());
        p.pooled.expect_guards("pooled");
        EXPECT_EQ(p.pooled.view()(1, 0), 0.0F);
    }
}

/// L = sum(dpooled * pooled) is linear in x, for max as long as no two values change places: differences of it are
/// exact up to rounding, that of L divided by the step and that of dx in fp32.
TEST(SegmentPooling, BackwardIsTheGradientOfTheReference) {
    constexpr double kStep = 1e-6; // less than the distance of any two values
    for (auto const pooling : kPoolings) {
        SCOPED_TRACE(static_cast<int>(pooling));
        Problem p;
        segment_pooling_backward(p.backward(pooling));
        p.dx.expect_guards("dx");
        auto values = p.values<double>();
        auto const loss_at = [&](std::size_t i, double value) {
            double const kept = std::exchange(values[i], value);
            auto const pooled = segment_pooling_reference(pooling, values, kWidth, p.all, kOuts);
            values[i] = kept;
            double sum = 0;
            for (index_t e = 0; e < kOuts * kWidth; ++e) {
                sum +=
                    pooled[static_cast<std::size_t>(e)] * static_cast<double>(p.dpooled.view()(e / kWidth, e % kWidth));
            }
            return sum;
        };
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto const element = static_cast<index_t>(i);
            double const slope = (loss_at(i, values[i] + kStep) - loss_at(i, values[i] - kStep)) / (2 * kStep);
            ASSERT_NEAR(slope, static_cast<double>(p.dx.view()(element / kWidth, element % kWidth)), 1e-6)
                << "element " << i;
        }
    }
}

TEST(SegmentPooling, MaxGoesToTheFirstOfEqualRows) {
    GuardedMatrix x(4, 1);
    x.view()(0, 0) = -1.0F;
    x.view()(1, 0) = 5.0F;
    x.view()(2, 0) = 5.0F;
    x.view()(3, 0) = 9.0F;
    GuardedMatrix dpooled(1, 1);
    dpooled.fill([] { return 3.0; });
    GuardedMatrix dx(4, 1);
    std::vector<PooledSegment> const all{{0, 3, 0, 0.5F}};
    segment_pooling_backward({Pooling::max, x.view(), all, dpooled.view(), dx.view()});
    EXPECT_EQ(dx.view()(0, 0), 0.0F);
    EXPECT_EQ(dx.view()(1, 0), 1.5F);
    EXPECT_EQ(dx.view()(2, 0), 0.0F);
    EXPECT_EQ(dx.view()(3, 0), 0.0F);
}

TEST(SegmentPooling, OnlyMaxNeedsXForItsGradient) {
    Problem p;
    auto args = p.backward(Pooling::mean);
    args.x = {};
    segment_pooling_backward(args);
    EXPECT_EQ(p.dx.view()(2, 0), 0.5F / 20.0F * p.dpooled.view()(3, 0));
    EXPECT_EQ(p.dx.view()(0, 0), 0.0F);
    args.pooling = Pooling::max;
    EXPECT_THROW(segment_pooling_backward(args), Error);
}

TEST(SegmentPooling, RefusesSegmentsThatDoNotFit) {
    Problem p;
    auto const refuses = [&](std::vector<PooledSegment> const& strange) {
        EXPECT_THROW(segment_pooling({Pooling::mean, p.x.view(), strange, p.pooled.view()}), Error);
        EXPECT_THROW(segment_pooling_backward({Pooling::mean, {}, strange, p.dpooled.view(), p.dx.view()}), Error);
    };
    refuses({{89, 2, 0, 1.0F}});
    refuses({{-1, 2, 0, 1.0F}});
    refuses({{5, 2, kOuts, 1.0F}});
    refuses({{5, 2, -1, 1.0F}});
    refuses({{5, 2, 0, 1.0F}, {6, 2, 0, 1.0F}});
    refuses({{50, 2, 0, 1.0F}, {6, 2, 0, 1.0F}});
}

} // namespace
} // namespace strandwave
