#include "kernels/linear/linear_row_cpu.h"

#include "kernels/linear/linear_reference.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

/// A weight in panels, written down from their description: `[in][64]`, of bf16 `[in / 2][64][2]`.
template <class Element>
std::vector<Element> pack(View<float const, 2> weight, index_t pair, Element (*convert)(float)) {
    index_t const pairs = (weight.cols + pair - 1) / pair;
    index_t const panels = (weight.rows + kLinearPanel - 1) / kLinearPanel;
    std::vector<Element> packed(static_cast<std::size_t>(panels * pairs * kLinearPanel * pair), Element{});
    for (index_t o = 0; o < weight.rows; ++o) {
        for (index_t i = 0; i < weight.cols; ++i) {
            index_t const place = (o / kLinearPanel * pairs + i / pair) * kLinearPanel + o % kLinearPanel;
            packed[static_cast<std::size_t>(place * pair + i % pair)] = convert(weight(o, i));
        }
    }
    return packed;
}

/// Random factors, rounded to the type of the weight, and what comes out of them.
struct Problem {
    Problem(index_t in_count, index_t out_count, DType type)
        : in(in_count), out(out_count), dtype(type), x(1, in), weight(out, in), bias(1, out), y(1, out) {
        Random random(7);
        auto const draw = [&] {
            auto const value = static_cast<float>(random.normal());
            return dtype == DType::bf16 ? to_f32(to_bf16(value)) : value;
        };
        x.fill(draw);
        weight.fill(draw);
        bias.fill([&] { return random.normal(); });
    }

    void run(bool with_bias, bool accumulate) {
        index_t const pair = dtype == DType::bf16 ? 2 : 1;
        LinearPanels panels{nullptr, dtype, in, out, (in + pair - 1) / pair * pair * kLinearPanel};
        auto const floats = pack<float>(weight.view(), pair, [](float value) { return value; });
        auto const halves = pack<bf16_t>(weight.view(), pair, to_bf16);
        panels.data = dtype == DType::bf16 ? static_cast<void const*>(halves.data()) : floats.data();
        View<float const, 1> b;
        if (with_bias) { b = bias.vector(); }
        linear_row_cpu(panels, x.vector(), b, accumulate, y.vector());
    }

    index_t in;
    index_t out;
    DType dtype;
    GuardedMatrix x, weight, bias, y;
};

TEST(LinearRow, IsWithinTwiceTheErrorOfAPlainLoop) {
    testing::on_every_simd_target([] {
        for (auto const dtype : {DType::f32, DType::bf16}) {
            // Sums of many terms only with many outputs: a plain loop can be lucky with one of them.
            for (auto const& [in, out] :
                 {std::pair<index_t, index_t>{1, 1}, {2, 63}, {17, 64}, {256, 65}, {509, 131}}) {
                SCOPED_TRACE(std::string(dtype_name(dtype)) + ' ' + std::to_string(in) + " -> " + std::to_string(out));
                Problem p(in, out, dtype);
                bool const with_bias = out != 64;
                auto const b = with_bias ? p.bias.vector() : View<float, 1>{};
                auto const exact = linear_reference<double>(p.x.view(), p.weight.view(), b);
                auto const plain = linear_reference<float>(p.x.view(), p.weight.view(), b);
                p.run(with_bias, false);
                testing::expect_within_twice(p.y.view(), exact.data(), plain.data());
                p.y.expect_guards("y");
            }
        }
    });
}

/// x, y and W are small whole numbers: every sum is exact.
TEST(LinearRow, AddsToY) {
    testing::on_every_simd_target([] {
        for (auto const dtype : {DType::f32, DType::bf16}) {
            Problem p(5, 70, dtype);
            p.x.fill([] { return 2.0; });
            p.weight.fill([] { return 3.0; });
            p.bias.fill([] { return 4.0; });
            p.y.fill([] { return 100.0; });
            p.run(true, true);
            for (index_t o = 0; o < p.out; ++o) {
                EXPECT_EQ(p.y.view()(0, o), 134.0F) << o;
            }
        }
    });
}

} // namespace
} // namespace strandwave
