#include "kernels/elementwise/elementwise.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

constexpr index_t kRows = 13;
constexpr index_t kCols = 9;

/// x and y of one shape, filled, with the values of y before.
struct Problem {
    explicit Problem(index_t rows = kRows, index_t cols = kCols)
        : x(rows, cols, 2), y(rows, cols, 3), before(rows, cols), turned(cols, rows, 1) {
        Random random(11);
        x.fill([&] { return random.normal(); });
        before.fill([&] { return random.normal(); });
        index_t next = 0;
        y.fill([&] { return before.data()[next++]; });
    }

    /// y is what `wanted` makes of x and y at each place.
    template <class Wanted>
    void expect_y(Wanted const& wanted) {
        for (index_t r = 0; r < kRows; ++r) {
            for (index_t c = 0; c < kCols; ++c) {
                ASSERT_EQ(y.view()(r, c), wanted(x.view()(r, c), before.view()(r, c))) << r << ", " << c;
            }
        }
        y.expect_guards("y");
    }

    GuardedMatrix x, y, before, turned;
};

TEST(Elementwise, AddsAndCopies) {
    Problem sum;
    add(sum.x.view(), sum.y.view());
    sum.expect_y([](float x, float y) { return y + x; });
    Problem same;
    copy(same.x.view(), same.y.view());
    same.expect_y([](float x, float) { return x; });
}

TEST(Elementwise, SumsColumnsBehindWhatIsThere) {
    Problem p;
    GuardedMatrix sums(1, kCols);
    sums.fill([] { return 2.0; });
    column_sum(p.x.view(), sums.vector());
    for (index_t c = 0; c < kCols; ++c) {
        double sum = 0;
        for (index_t r = 0; r < kRows; ++r) {
            sum += static_cast<double>(p.x.view()(r, c));
        }
        EXPECT_EQ(sums.view()(0, c), 2.0F + static_cast<float>(sum));
    }
    sums.expect_guards("sums");
}

TEST(Elementwise, NegativeExpTurnsItsMatrixAndHasItsGradient) {
    Problem p;
    negative_exp(p.x.view(), p.turned.view());
    GuardedMatrix da(kCols, kRows, 4);
    Random random(3);
    da.fill([&] { return random.normal(); });
    negative_exp_backward(p.turned.view(), da.view(), p.y.view());
    for (index_t e = 0; e < kRows; ++e) {
        for (index_t n = 0; n < kCols; ++n) {
            double const a = -std::exp(static_cast<double>(p.x.view()(e, n)));
            ASSERT_EQ(p.turned.view()(n, e), static_cast<float>(a));
            // d/d a_log of -exp(a_log) is itself.
            ASSERT_EQ(p.y.view()(e, n), p.before.view()(e, n) + da.view()(n, e) * static_cast<float>(a));
        }
    }
    p.turned.expect_guards("A");
    p.y.expect_guards("dA_log");
}

index_t count_zeros(View<float const, 2> y) {
    index_t zeros = 0;
    for (index_t r = 0; r < y.rows; ++r) {
        for (index_t c = 0; c < y.cols; ++c) {
            zeros += y(r, c) == 0.0F ? 1 : 0;
        }
    }
    return zeros;
}

TEST(Dropout, KeepsItsShareScaledAndDropsTheRest) {
    GuardedMatrix x(200, 100, 1);
    x.fill([] { return 3.0; });
    GuardedMatrix y(200, 100, 2);
    std::uint64_t const seed = 42;
    for (float const probability : {0.1F, 0.5F, 0.9F}) {
        dropout({x.view(), y.view(), probability, &seed, 0, 0});
        y.expect_guards("y");
        auto const dropped = static_cast<double>(count_zeros(y.view()));
        double const wanted = 20000.0 * static_cast<double>(probability);
        // Five standard deviations of a binomial count.
        EXPECT_NEAR(dropped, wanted, 5 * std::sqrt(wanted * (1 - static_cast<double>(probability))));
        for (index_t c = 0; c < 100; ++c) {
            float const value = y.view()(17, c);
            EXPECT_TRUE(value == 0.0F || value == 3.0F * (1.0F / (1.0F - probability)));
        }
    }
}

/// Which elements are dropped, as a matrix of 0 and 2.
std::vector<float> pattern(std::uint64_t seed, std::uint64_t site, index_t first_row, index_t rows) {
    std::vector<float> y(static_cast<std::size_t>(rows * 64), 1.0F);
    View<float, 2> const view(y.data(), rows, 64);
    dropout({view, view, 0.5F, &seed, site, first_row});
    return y;
}

TEST(Dropout, IsAFunctionOfSeedSiteRowAndColumn) {
    auto const whole = pattern(1, 2, 0, 10);
    EXPECT_EQ(pattern(1, 2, 0, 10), whole);
    EXPECT_NE(pattern(2, 2, 0, 10), whole);
    EXPECT_NE(pattern(1, 3, 0, 10), whole);
    EXPECT_EQ(pattern(1, 2, 4, 6), std::vector<float>(whole.begin() + 4 * 64, whole.end())); // a shard of the batch
    // Neighbours in each of the four agree in about half of the elements: 320 of 640, standard deviation 13.
    for (auto const& other : {pattern(2, 2, 0, 10), pattern(1, 3, 0, 10), pattern(1, 2, 1, 10)}) {
        int same = 0;
        for (std::size_t i = 0; i < whole.size(); ++i) {
            same += whole[i] == other[i] ? 1 : 0;
        }
        EXPECT_NEAR(same, 320, 5 * 13);
    }
}

TEST(Dropout, OfNothingCopies) {
    Problem p;
    std::uint64_t const seed = 1;
    dropout({p.x.view(), p.y.view(), 0.0F, &seed, 0, 0});
    p.expect_y([](float x, float) { return x; });
}

TEST(Elementwise, RefusesWhatDoesNotFit) {
    Problem p;
    std::uint64_t const seed = 1;
    auto const narrow = p.y.view().cols_from(0, kCols - 1);
    EXPECT_THROW(add(p.x.view(), narrow), Error);
    EXPECT_THROW(copy(p.x.view(), narrow), Error);
    EXPECT_THROW(negative_exp(p.x.view(), p.y.view()), Error);
    EXPECT_THROW(negative_exp_backward(p.turned.view(), p.turned.view(), narrow), Error);
    EXPECT_THROW(column_sum(p.x.view(), {p.y.data(), kCols + 1}), Error);
    EXPECT_THROW(dropout({p.x.view(), narrow, 0.5F, &seed, 0, 0}), Error);
    for (float const probability : {-0.1F, 1.0F, std::nanf("")}) {
        EXPECT_THROW(dropout({p.x.view(), p.y.view(), probability, &seed, 0, 0}), Error);
    }
}

} // namespace
} // namespace strandwave
