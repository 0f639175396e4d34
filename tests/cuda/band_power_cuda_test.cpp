#include "kernels/band_power/band_power.h"
#include "kernels/band_power/band_power_cuda.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

class BandPowerCuda : public testing::GpuTest {};

constexpr float kScale = 1.0F / 400;
constexpr std::array<std::array<index_t, 2>, 5> kShapes{{{1, 1}, {3, 5}, {257, 64}, {5, 1000}, {3001, 127}}};

/// The same numbers on both processors; pairs of which the first row is silent.
struct Problem {
    Problem(index_t rows, index_t bands)
        : x(rows, 2 * bands), y(rows, bands), dy(rows, bands), dx(rows, 2 * bands),
          gpu_x(DType::f32, rows, 2 * bands, 3), gpu_y(DType::f32, rows, bands, 5), gpu_dy(DType::f32, rows, bands, 1),
          gpu_dx(DType::f32, rows, 2 * bands, 2) {
        Random random(3);
        x.fill([&] { return random.normal() * std::pow(10.0, random.uniform(-4, 1)); });
        dy.fill([&] { return random.normal(); });
        for (index_t c = 0; c < 2 * bands; ++c) {
            x.view()(0, c) = 0;
        }
        gpu_x.put(x.view());
        gpu_dy.put(dy.view());
        gpu_y.poison();
        gpu_dx.poison();
    }

    GuardedMatrix x, y, dy, dx;
    GpuMatrix gpu_x, gpu_y, gpu_dy, gpu_dx;
};

/// Three roundings of the power, each 2^-24 of it, move the logarithm by 3 * 2^-24 / ln 10; log10f is right to two
/// units in the last place, and the sum is rounded.
TEST_F(BandPowerCuda, EqualsTheProcessor) {
    for (auto const& [rows, bands] : kShapes) {
        Problem p(rows, bands);
        band_power({p.x.view(), kScale, p.y.view()});
        band_power_cuda(p.gpu_x.view(), kScale, p.gpu_y.view(), nullptr);
        auto const actual = p.gpu_y.values();
        for (index_t i = 0; i < rows * bands; ++i) {
            double const wanted = static_cast<double>(p.y.data()[i]);
            double const logarithm = std::abs(wanted - 3);
            double const bound = 3 / std::log(10) + 4 * logarithm + std::abs(wanted);
            ASSERT_NEAR(actual[static_cast<std::size_t>(i)], wanted, std::ldexp(bound, -24)) << i;
        }
        p.gpu_y.expect_guards("y");
    }
}

/// Eight roundings at most, three of them of the power.
TEST_F(BandPowerCuda, GradientEqualsTheProcessor) {
    for (auto const& [rows, bands] : kShapes) {
        Problem p(rows, bands);
        band_power_backward({p.x.view(), kScale, p.dy.view(), p.dx.view()});
        band_power_backward_cuda(p.gpu_x.view(), kScale, p.gpu_dy.view(), p.gpu_dx.view(), nullptr);
        auto const actual = p.gpu_dx.values();
        for (index_t i = 0; i < rows * 2 * bands; ++i) {
            double const wanted = static_cast<double>(p.dx.data()[i]);
            ASSERT_NEAR(actual[static_cast<std::size_t>(i)], wanted, std::ldexp(9 * std::abs(wanted), -24)) << i;
        }
        p.gpu_dx.expect_guards("dx");
        band_power_backward_cuda(p.gpu_x.view(), kScale, p.gpu_dy.view(), p.gpu_x.view(), nullptr);
        EXPECT_EQ(p.gpu_x.values(), actual) << "in place";
    }
}

TEST_F(BandPowerCuda, RefusesWhatDoesNotFit) {
    Problem p(3, 5);
    EXPECT_THROW(band_power_cuda(p.gpu_y.view(), kScale, p.gpu_y.view(), nullptr), Error);
    GpuMatrix const halves(DType::bf16, 3, 5);
    EXPECT_THROW(band_power_cuda(p.gpu_x.view(), kScale, halves.view(), nullptr), Error);
    EXPECT_THROW(band_power_backward_cuda(p.gpu_x.view(), kScale, p.gpu_dy.view(), p.gpu_dy.view(), nullptr), Error);
}

} // namespace
} // namespace strandwave
