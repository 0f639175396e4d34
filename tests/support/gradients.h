#pragma once

#include "tests/support/guarded_buffer.h"

#include <cmath>
#include <vector>

namespace strandwave::testing {

/// Step of the differences, a power of two: to add it to a value of the grid is exact in fp32.
inline constexpr double kStep = 0x1p-10;

/// The nearest number that slope_of may move.
inline double on_grid(double value) { return std::round(value / kStep) * kStep; }

struct Slope {
    double value = 0;
    double uncertainty = 0;
};

/// The slope of `loss()`, computed in double, along the fp32 number `at`, which lies on the grid. Two central
/// differences, of h and 2h: the error of the first is a third of what they differ by, up to terms of h^4. Rounding
/// adds less than 1e-8, as long as the loss is a sum of at most 10^4 terms below 1: 10^4 2^-53 / h = 1.1e-9.
template <class Loss>
Slope slope_of(Loss const& loss, float& at) {
    float const middle = at;
    auto const difference = [&](double step) {
        at = static_cast<float>(static_cast<double>(middle) + step);
        double const above = loss();
        at = static_cast<float>(static_cast<double>(middle) - step);
        double const below = loss();
        at = middle;
        return (above - below) / (2 * step);
    };
    double const fine = difference(kStep);
    double const coarse = difference(2 * kStep);
    return {fine, std::abs(coarse - fine) + 1e-8};
}

/// The elements row by row, without gaps.
inline std::vector<float> elements(View<float const, 2> from) {
    std::vector<float> to;
    for (index_t r = 0; r < from.rows; ++r) {
        to.insert(to.end(), from.row(r), from.row(r) + from.cols);
    }
    return to;
}

/// A gradient added to what was there before.
template <class Real>
std::vector<Real> on_top(std::vector<float> const& before, std::vector<Real> gradient) {
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        gradient[i] += static_cast<Real>(before[i]);
    }
    return gradient;
}

/// Largest absolute value.
inline double largest_of(View<float const, 2> values) {
    double largest = 0;
    for (float const value : elements(values)) {
        largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    return largest;
}

/// The rule of expect_within_twice for sums of both signs: a loop can be lucky, by one ulp not of the sum but of
/// `magnitude`, a bound of the sum of its terms' absolute values.
template <class Plain>
void expect_sums_within_twice(View<float const, 2> actual, double const* exact, Plain const* plain, double magnitude) {
    double plain_error = 0;
    for (index_t i = 0; i < actual.rows * actual.cols; ++i) {
        plain_error = std::max(plain_error, std::abs(static_cast<double>(plain[i]) - exact[i]));
    }
    double const ulp = static_cast<double>(std::numeric_limits<float>::epsilon()) * magnitude;
    EXPECT_LE(largest_error(actual, exact), 2 * plain_error + ulp);
}

} // namespace strandwave::testing
