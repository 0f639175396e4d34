#include "kernels/cross_entropy/cross_entropy.h"

#include "kernels/cross_entropy/cross_entropy_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

template <class Real>
std::vector<Real> elements(View<float const, 2> matrix) {
    std::vector<Real> all;
    for (index_t r = 0; r < matrix.rows; ++r) {
        for (index_t c = 0; c < matrix.cols; ++c) {
            all.push_back(static_cast<Real>(matrix(r, c)));
        }
    }
    return all;
}

/// Rows with targets and without. With strands row 2i of the first half is a base whose other strand is the row as far
/// from the end; some bases have one strand only.
struct Problem {
    Problem(index_t rows, index_t classes, bool strands)
        : logits(rows, classes, 3), dlogits(rows, classes, 2), targets(static_cast<std::size_t>(rows)) {
        Random random(6);
        logits.fill([&] { return 3.0 * random.normal(); });
        for (auto& target : targets) {
            auto const draw = static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(classes)));
            target = random.uniform() < 0.3 ? -100 : draw;
        }
        if (!strands) { return; }
        mates.assign(targets.size(), -1);
        complement.resize(static_cast<std::size_t>(classes));
        std::iota(complement.rbegin(), complement.rend(), 0);
        for (std::size_t row = 0; row < targets.size() / 2; row += 2) {
            std::size_t const mate = targets.size() - 1 - row;
            mates[row] = static_cast<std::int32_t>(mate);
            mates[mate] = static_cast<std::int32_t>(row);
            if (targets[row] >= 0) { targets[mate] = -1; }
        }
    }

    CrossEntropyArgs args(float scale) { return {logits.view(), targets, mates, complement, scale, dlogits.view()}; }

    GuardedMatrix logits, dlogits;
    std::vector<std::int32_t> targets, mates, complement;
};

/// Each row's logarithm has the error of exponentials (1 unit in the last place), of the differences in front of them,
/// and of the sums of strands, whose size is at most 4 M for logits within M.
double loss_bound(index_t rows, View<float const, 2> logits) {
    double largest = 0;
    for (auto const value : elements<double>(logits)) {
        largest = std::max(largest, std::abs(value));
    }
    return std::ldexp(static_cast<double>(rows) * (4 + 8 * largest), -24);
}

void expect_right(index_t rows, index_t classes, bool strands) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(classes) + (strands ? ", strands" : ""));
    Problem p(rows, classes, strands);
    auto const args = p.args(0.37F);
    auto const exact = cross_entropy_reference<double>(elements<double>(p.logits.view()), args);
    auto const plain = cross_entropy_reference<float>(elements<float>(p.logits.view()), args);
    auto const sums = cross_entropy(args);
    testing::expect_within_twice(p.dlogits.view(), exact.gradient.data(), plain.gradient.data());
    EXPECT_NEAR(sums.loss, exact.loss, loss_bound(rows, p.logits.view()));
    p.dlogits.expect_guards("dlogits");

    auto evaluation = args;
    evaluation.dlogits = {};
    EXPECT_EQ(cross_entropy(evaluation).loss, sums.loss);
    auto in_place = args;
    in_place.dlogits = p.logits.view();
    EXPECT_EQ(cross_entropy(in_place).loss, sums.loss);
    EXPECT_EQ(elements<float>(p.logits.view()), elements<float>(p.dlogits.view()));
    p.logits.expect_guards("logits");
}

TEST(CrossEntropy, IsWithinTwiceTheErrorOfAPlainLoop) {
    for (index_t const classes : {1, 2, 3, 16, 31, 257}) {
        for (bool const strands : {false, true}) {
            expect_right(23, classes, strands);
            expect_right(1, classes, strands);
        }
    }
}

/// Central differences of the double reference: their error is of second order in the step.
template <class Loss>
void expect_gradient(Loss const& loss, std::vector<double> values, std::vector<double> const& gradient) {
    constexpr double kStep = 1e-5;
    for (std::size_t i = 0; i < values.size(); ++i) {
        double const value = std::exchange(values[i], values[i] + kStep);
        double const above = loss(values);
        values[i] = value - kStep;
        double const below = loss(values);
        values[i] = value;
        ASSERT_NEAR((above - below) / (2 * kStep), gradient[i], 1e-8) << "element " << i;
    }
}

TEST(CrossEntropy, ReferenceGradientsAreThoseOfTheirLosses) {
    for (bool const strands : {false, true}) {
        Problem p(9, 5, strands);
        auto const args = p.args(1.0F);
        auto const logits = elements<double>(p.logits.view());
        expect_gradient([&](auto const& at) { return cross_entropy_reference<double>(at, args).loss; }, logits,
                        cross_entropy_reference<double>(logits, args).gradient);
    }
    Problem p(4, 6, false);
    Random random(8);
    p.dlogits.fill([&] { return random.uniform(); });
    RowLossArgs const args{p.logits.view(), p.dlogits.view(), 1.0F, {}};
    auto const y = elements<double>(p.logits.view());
    expect_gradient([&](auto const& at) { return soft_cross_entropy_reference<double>(at, args).loss; }, y,
                    soft_cross_entropy_reference<double>(y, args).gradient);
    expect_gradient([&](auto const& at) { return squared_error_reference<double>(at, args).loss; }, y,
                    squared_error_reference<double>(y, args).gradient);
}

TEST(CrossEntropy, OfEqualLogitsIsTheLogarithmOfTheirNumber) {
    GuardedMatrix logits(3, 8);
    logits.fill([] { return 2.5; });
    std::vector<std::int32_t> const targets{0, 7, -1};
    GuardedMatrix dlogits(3, 8);
    auto const sums = cross_entropy({logits.view(), targets, {}, {}, 2.0F, dlogits.view()});
    EXPECT_DOUBLE_EQ(sums.loss, 2 * std::log(8.0));
    EXPECT_EQ(sums.correct, 1.0); // the first of equal ones
    EXPECT_EQ(sums.count, 2.0);
    EXPECT_EQ(dlogits.view()(1, 7), 2.0F * (0.125F - 1.0F));
    EXPECT_EQ(dlogits.view()(1, 0), 0.25F);
    EXPECT_EQ(dlogits.view()(2, 0), 0.0F);
}

TEST(CrossEntropy, OfLargeLogitsDoesNotOverflow) {
    GuardedMatrix logits(1, 3);
    logits.view()(0, 0) = 1e30F;
    logits.view()(0, 1) = -1e30F;
    logits.view()(0, 2) = 1e30F;
    std::vector<std::int32_t> const targets{2};
    auto const sums = cross_entropy({logits.view(), targets, {}, {}, 1.0F, logits.view()});
    EXPECT_DOUBLE_EQ(sums.loss, std::log(2.0));
    EXPECT_EQ(logits.view()(0, 0), 0.5F);
    EXPECT_EQ(logits.view()(0, 1), 0.0F);
    EXPECT_EQ(logits.view()(0, 2), -0.5F);
}

/// A target at the first strand and its complement at the second, seen from there, are the same loss.
TEST(CrossEntropy, StrandsMayChangePlaces) {
    GuardedMatrix logits(2, 4);
    Random random(2);
    logits.fill([&] { return random.normal(); });
    GuardedMatrix swapped(2, 4);
    std::vector<std::int32_t> const complement{3, 2, 1, 0};
    std::vector<std::int32_t> const mates{1, 0};
    std::vector<std::int32_t> const first{2, -1};
    std::vector<std::int32_t> const second{-1, 1};
    GuardedMatrix gradient(2, 4);
    GuardedMatrix other(2, 4);
    auto const sums = cross_entropy({logits.view(), first, mates, complement, 1.0F, gradient.view()});
    auto const same = cross_entropy({logits.view(), second, mates, complement, 1.0F, other.view()});
    EXPECT_NEAR(sums.loss, same.loss, 1e-12); // terms of the sum in another order
    for (index_t v = 0; v < 4; ++v) {
        EXPECT_NEAR(gradient.view()(0, v), other.view()(0, v), 1e-7);
        EXPECT_EQ(gradient.view()(0, v), gradient.view()(1, 3 - v));
    }
}

TEST(CrossEntropy, RefusesWhatMakesNoSense) {
    Problem p(4, 3, true);
    p.targets = {0, 1, -1, -1};
    p.mates = {3, -1, -1, 0};
    auto const args = p.args(1.0F);
    cross_entropy(args);
    auto const refuses = [&](std::vector<std::int32_t>& of, std::vector<std::int32_t> const& with) {
        auto const kept = std::exchange(of, with);
        EXPECT_THROW(cross_entropy(p.args(1.0F)), Error);
        of = kept;
    };
    refuses(p.targets, {0, 3, -1, -1});
    refuses(p.targets, {0, 1, -1, 1});
    refuses(p.targets, {0, 1, -1});
    refuses(p.mates, {3, -1, -1, 1});
    refuses(p.mates, {4, -1, -1, 0});
    refuses(p.mates, {3, 1, -1, 0});
    refuses(p.complement, {0, 1});
    refuses(p.complement, {0, 1, 1});
    auto narrow = args;
    narrow.dlogits = narrow.dlogits.cols_from(0, 2);
    EXPECT_THROW(cross_entropy(narrow), Error);
}

struct RowProblem {
    RowProblem(index_t rows, index_t cols) : y(rows, cols, 1), targets(rows, cols, 4), dy(rows, cols, 2) {
        Random random(5);
        y.fill([&] { return 2.0 * random.normal(); });
        targets.fill([&] { return random.uniform(); });
    }
    RowLossArgs args(float scale) { return {y.view(), targets.view(), scale, dy.view()}; }
    GuardedMatrix y, targets, dy;
};

TEST(SoftCrossEntropy, IsWithinTwiceTheErrorOfAPlainLoop) {
    for (index_t const classes : {1, 2, 10, 33, 300}) {
        RowProblem p(7, classes);
        auto const args = p.args(0.3F);
        auto const exact = soft_cross_entropy_reference<double>(elements<double>(p.y.view()), args);
        auto const plain = soft_cross_entropy_reference<float>(elements<float>(p.y.view()), args);
        auto const sums = soft_cross_entropy(args);
        testing::expect_within_twice(p.dy.view(), exact.gradient.data(), plain.gradient.data());
        EXPECT_NEAR(sums.loss, exact.loss, static_cast<double>(classes) * loss_bound(7, p.y.view()));
        EXPECT_EQ(sums.count, 7.0);
        p.dy.expect_guards("dy");
        auto in_place = args;
        in_place.dy = p.y.view();
        soft_cross_entropy(in_place);
        EXPECT_EQ(elements<float>(p.y.view()), elements<float>(p.dy.view()));
    }
}

TEST(SoftCrossEntropy, OfOneHotTargetsIsCrossEntropy) {
    Problem hard(20, 6, false);
    RowProblem soft(20, 6);
    for (index_t r = 0; r < 20; ++r) {
        for (index_t k = 0; k < 6; ++k) {
            soft.y.view()(r, k) = hard.logits.view()(r, k);
            soft.targets.view()(r, k) = hard.targets[static_cast<std::size_t>(r)] == k ? 1.0F : 0.0F;
        }
    }
    auto const wanted = cross_entropy(hard.args(0.5F));
    auto const sums = soft_cross_entropy(soft.args(0.5F));
    EXPECT_NEAR(sums.loss, wanted.loss, 1e-12 * wanted.loss); // sums in another order
    EXPECT_EQ(sums.correct, wanted.correct);
    EXPECT_EQ(sums.count, wanted.count);
    EXPECT_EQ(elements<float>(soft.dy.view()), elements<float>(hard.dlogits.view()));
}

TEST(SquaredError, IsWithinTwiceTheErrorOfAPlainLoop) {
    RowProblem p(7, 5);
    auto const args = p.args(0.3F);
    auto const exact = squared_error_reference<double>(elements<double>(p.y.view()), args);
    auto const plain = squared_error_reference<float>(elements<float>(p.y.view()), args);
    auto const sums = squared_error(args);
    testing::expect_within_twice(p.dy.view(), exact.gradient.data(), plain.gradient.data());
    EXPECT_NEAR(sums.loss, exact.loss, std::ldexp(exact.loss, -22)); // differences in fp32, then squared
    EXPECT_EQ(sums.count, 7.0);
    EXPECT_EQ(sums.correct, 0.0);
    p.dy.expect_guards("dy");
    auto evaluation = args;
    evaluation.dy = {};
    EXPECT_EQ(squared_error(evaluation).loss, sums.loss);
    evaluation.targets = evaluation.targets.cols_from(0, 4);
    EXPECT_THROW(squared_error(evaluation), Error);
    EXPECT_THROW(soft_cross_entropy(evaluation), Error);
}

} // namespace
} // namespace strandwave
