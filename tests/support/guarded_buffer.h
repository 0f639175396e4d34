#pragma once

#include "lib/core/buffer.h"
#include "lib/core/random.h"
#include "lib/core/view.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave::testing {

/// A matrix of floats with NaN all around it and NaN in it until it is filled: an op that reads what nobody wrote gives
/// NaN, one that writes outside is caught by `expect_guards`. Rows may be wider than the matrix (row_stride).
class GuardedMatrix {
public:
    static constexpr index_t kGuard = 64;

    GuardedMatrix() : GuardedMatrix(0, 0) {}
    GuardedMatrix(index_t rows, index_t cols, index_t extra_stride = 0)
        : rows_(rows), cols_(cols), stride_(cols + extra_stride), storage_(rows * stride_ + 2 * kGuard) {
        std::fill(storage_.begin(), storage_.end(), kPoison);
    }

    View<float, 2> view() { return {storage_.data() + kGuard, rows_, cols_, stride_}; }
    View<float, 1> vector() { return {storage_.data() + kGuard, rows_ * cols_}; } ///< only without extra stride
    float* data() { return storage_.data() + kGuard; }

    template <class Draw>
    GuardedMatrix& fill(Draw const& draw) {
        for (index_t r = 0; r < rows_; ++r) {
            for (index_t c = 0; c < cols_; ++c) {
                view()(r, c) = static_cast<float>(draw());
            }
        }
        return *this;
    }

    void poison_again() {
        for (index_t r = 0; r < rows_; ++r) {
            std::fill_n(view().row(r), cols_, kPoison);
        }
    }

    void expect_guards(char const* what) const {
        for (index_t i = 0; i < storage_.size(); ++i) {
            index_t const inside = i - kGuard;
            bool const guard =
                inside < 0 || inside >= rows_ * stride_ || inside % std::max<index_t>(stride_, 1) >= cols_;
            ASSERT_TRUE(!guard || std::isnan(storage_[i])) << what << ": wrote outside, at element " << inside;
        }
    }

private:
    static constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();
    index_t rows_;
    index_t cols_;
    index_t stride_;
    Buffer<float> storage_;
};

/// Largest |actual - expected|; infinite if any is NaN.
template <class Expected>
double largest_error(View<float const, 2> actual, Expected const* expected) {
    double largest = 0;
    for (index_t r = 0; r < actual.rows; ++r) {
        for (index_t c = 0; c < actual.cols; ++c) {
            double const error =
                std::abs(static_cast<double>(actual(r, c)) - static_cast<double>(expected[r * actual.cols + c]));
            largest = std::isnan(error) ? std::numeric_limits<double>::infinity() : std::max(largest, error);
        }
    }
    return largest;
}

/// The rule for every op: error against double at most twice that of a plain fp32 loop, plus one ulp of the largest
/// value (a loop can be lucky).
template <class Plain>
void expect_within_twice(View<float const, 2> actual, double const* exact, Plain const* plain) {
    double plain_error = 0;
    double largest = 0;
    for (index_t i = 0; i < actual.rows * actual.cols; ++i) {
        plain_error = std::max(plain_error, std::abs(static_cast<double>(plain[i]) - exact[i]));
        largest = std::max(largest, std::abs(exact[i]));
    }
    double const ulp = static_cast<double>(std::numeric_limits<float>::epsilon()) * largest;
    EXPECT_LE(largest_error(actual, exact), 2 * plain_error + ulp);
}

} // namespace strandwave::testing
