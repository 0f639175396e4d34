#include "kernels/linear/linear.h"

#include "kernels/linear/linear_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

struct Problem {
    Problem(index_t rows, index_t in, index_t out) : x(rows, in), weight(out, in), bias(1, out), y(rows, out) {
        Random random(4);
        for (auto* matrix : {&x, &weight, &bias}) {
            matrix->fill([&] { return random.normal(); });
        }
    }
    GuardedMatrix x, weight, bias, y;
};

TEST(Linear, IsWithinTwiceTheErrorOfAPlainLoop) {
    for (index_t const rows : {1, 7, 128, 131}) {
        for (auto const& [in, out] : {std::pair<index_t, index_t>{1, 1}, {16, 512}, {33, 47}, {256, 100}}) {
            SCOPED_TRACE(std::to_string(rows) + " rows, " + std::to_string(in) + " -> " + std::to_string(out));
            Problem p(rows, in, out);
            auto const exact = linear_reference<double>(p.x.view(), p.weight.view(), p.bias.vector());
            auto const plain = linear_reference<float>(p.x.view(), p.weight.view(), p.bias.vector());
            Linear const linear(p.weight.view(), p.bias.vector(), DType::f32);
            linear.apply(p.x.view(), p.y.view());
            testing::expect_within_twice(p.y.view(), exact.data(), plain.data());
            p.y.expect_guards("y");
        }
    }
}

TEST(Linear, AccumulatesIntoY) {
    for (index_t const rows : {1, 9}) {
        Problem p(rows, 20, 30);
        Linear const linear(p.weight.view(), {}, DType::f32);
        linear.apply(p.x.view(), p.y.view());
        float const once = p.y.view()(rows / 2, 5);
        linear.apply(p.x.view(), p.y.view(), true);
        EXPECT_FLOAT_EQ(p.y.view()(rows / 2, 5), 2 * once);
    }
}

/// The promise that packing rests on: with a fixed row count, a row's bits depend on that row alone, wherever it
/// stands.
TEST(Linear, ARowsBitsDependOnThatRowAlone) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        if (dtype == DType::bf16 && !bf16_is_supported()) { continue; }
        Problem p(128, 48, 80);
        Linear const linear(p.weight.view(), {}, dtype);
        linear.apply(p.x.view(), p.y.view());
        std::vector<float> const row(p.y.view().row(0), p.y.view().row(0) + 80);
        std::vector<float> const x_row(p.x.view().row(0), p.x.view().row(0) + 48);
        for (index_t const place : {1, 5, 63, 64, 100, 126, 127}) {
            Random random(static_cast<std::uint64_t>(place));
            p.x.fill([&] { return 100.0 * random.normal(); });
            std::copy(x_row.begin(), x_row.end(), p.x.view().row(place));
            linear.apply(p.x.view(), p.y.view());
            EXPECT_EQ(std::memcmp(p.y.view().row(place), row.data(), row.size() * sizeof(float)), 0) << place;
        }
    }
}

/// |y - x W^T| is at most what rounding both factors to bf16 may cost.
void expect_rounding_of_factors(Problem& p) {
    auto const exact = linear_reference<double>(p.x.view(), p.weight.view(), {});
    constexpr double kUnitRoundoff = 1.0 / 256;
    auto const y = p.y.view();
    for (index_t t = 0; t < y.rows; ++t) {
        for (index_t o = 0; o < y.cols; ++o) {
            double magnitude = 0;
            for (index_t i = 0; i < p.x.view().cols; ++i) {
                magnitude +=
                    std::abs(static_cast<double>(p.x.view()(t, i)) * static_cast<double>(p.weight.view()(o, i)));
            }
            EXPECT_LE(std::abs(y(t, o) - exact[static_cast<std::size_t>(t * y.cols + o)]),
                      2.1 * kUnitRoundoff * magnitude);
        }
    }
}

/// bf16 keeps 8 bits of each factor: with sums in fp32, the error of a row is at most that of rounding its factors.
TEST(Linear, Bf16IsWithinTheRoundingOfItsFactors) {
    if (!bf16_is_supported()) { GTEST_SKIP() << "this processor has no bf16 products"; }
    for (index_t const rows : {1, 16}) {
        Problem p(rows, 63, 40);
        Linear const linear(p.weight.view(), {}, DType::bf16);
        linear.apply(p.x.view(), p.y.view());
        expect_rounding_of_factors(p);
    }
}

TEST(Linear, RefusesShapesAndTypes) {
    Problem p(3, 4, 5);
    EXPECT_THROW(Linear(p.weight.view(), {}, DType::f16), Error);
    EXPECT_THROW(Linear(p.weight.view(), p.x.vector(), DType::f32), Error);
    Linear const linear(p.weight.view(), {}, DType::f32);
    EXPECT_THROW(linear.apply(p.weight.view(), p.y.view()), Error);
}

} // namespace
} // namespace strandwave
