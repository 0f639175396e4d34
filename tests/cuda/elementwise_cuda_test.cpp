#include "kernels/elementwise/elementwise_cuda.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

class ElementwiseCuda : public testing::GpuTest {};
class DropoutCuda : public testing::GpuTest {};

constexpr DType kTypes[] = {DType::f32, DType::bf16};

/// The same x and y on both processors.
struct Problem {
    Problem(DType x_type, DType y_type, index_t rows_, index_t cols_, index_t shift = 0, bool turned = false)
        : rows(rows_), cols(cols_), dtype(y_type), x(rows, cols), y(turned ? cols : rows, turned ? rows : cols),
          gpu_x(x_type, rows, cols, 4, shift), gpu_y(y_type, y.view().rows, y.view().cols, 8, shift) {
        Random random(11);
        x.fill([&] { return random.normal(); });
        y.fill([&] { return random.normal(); });
        round_to(x_type, x);
        round_to(y_type, y);
        gpu_x.put(x.view());
        gpu_y.put(y.view());
    }

    /// y of the GPU has the bits of y of the processor, rounded.
    void expect_same() {
        round_to(dtype, y);
        EXPECT_EQ(gpu_y.values(), std::vector<float>(y.data(), y.data() + rows * cols));
        gpu_y.expect_guards("y");
    }

    index_t rows, cols;
    DType dtype;
    GuardedMatrix x, y;
    GpuMatrix gpu_x, gpu_y;
};

/// Quads and not, more columns than a grid is wide, one row and many.
template <class Body>
void for_each_shape(Body const& body) {
    constexpr std::array<std::array<index_t, 2>, 7> kShapes{
        {{1, 1}, {3, 5}, {40, 64}, {257, 33}, {5, 1000}, {2, 100004}, {3000, 8}}};
    for (auto const x_type : kTypes) {
        for (auto const y_type : kTypes) {
            for (auto const& [rows, cols] : kShapes) {
                for (index_t const shift : {0, 1}) {
                    SCOPED_TRACE(std::string(dtype_name(x_type)) + " to " + std::string(dtype_name(y_type)) + ", " +
                                 std::to_string(rows) + " x " + std::to_string(cols) + ", shift " +
                                 std::to_string(shift));
                    body(x_type, y_type, rows, cols, shift);
                }
            }
        }
    }
}

TEST_F(ElementwiseCuda, AddsAndCopies) {
    for_each_shape([](DType x_type, DType y_type, index_t rows, index_t cols, index_t shift) {
        Problem sum(x_type, y_type, rows, cols, shift);
        add(sum.x.view(), sum.y.view());
        add_cuda(sum.gpu_x.view(), sum.gpu_y.view(), nullptr);
        sum.expect_same();
        Problem same(x_type, y_type, rows, cols, shift);
        copy(same.x.view(), same.y.view());
        same.gpu_y.poison();
        copy_cast_cuda(same.gpu_x.view(), same.gpu_y.view(), nullptr);
        same.expect_same();
    });
}

/// A parameter vector is one row, wider than the second extent of a grid counts.
TEST_F(ElementwiseCuda, CopiesAVeryLongRow) {
    constexpr index_t kLong = index_t{65536} * 128 * 4 + 4; // quads of 128 threads
    DeviceArray<float> const from(kLong);
    DeviceArray<bf16_t> const to(kLong);
    fill_bytes(from.data(), 0x40, kLong * 4, nullptr); // 0x40404040 rounds to 0x4040
    copy_cast_cuda({from.data(), DType::f32, 1, kLong}, {to.data(), DType::bf16, 1, kLong}, nullptr);
    auto const values = testing::download(to.data(), kLong);
    for (auto const value : values) {
        ASSERT_EQ(value.bits, 0x4040);
    }
}

/// Runs of 32 rows, or of a 1024th of them, in fp32; then two roundings.
TEST_F(ElementwiseCuda, SumsColumnsWithTheSameBitsEveryRun) {
    for (auto const dtype : kTypes) {
        for (auto const& [rows, cols] :
             std::array<std::array<index_t, 2>, 6>{{{1, 1}, {7, 3}, {33, 64}, {1000, 130}, {40000, 12}, {40001, 5}}}) {
            SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(cols));
            Problem p(dtype, DType::f32, rows, cols);
            GpuMatrix scratch(DType::f32, 1, column_sum_scratch_floats(rows, cols));
            std::vector<std::vector<std::byte>> runs;
            GuardedMatrix before(1, cols);
            before.fill([] { return 2.0; });
            for (index_t const shift : {0, 0, 1}) {
                Problem again(dtype, DType::f32, rows, cols, shift);
                GpuMatrix sums(DType::f32, 1, cols);
                sums.put(before.view());
                column_sum_cuda(again.gpu_x.view(), sums.data(), scratch.data(), nullptr);
                sums.expect_guards("sums");
                scratch.expect_guards("scratch");
                runs.push_back(sums.bits());
                auto const actual = sums.values();
                double const run = std::max(32.0, std::ceil(static_cast<double>(rows) / 1024));
                for (index_t c = 0; c < cols; ++c) {
                    double sum = 2;
                    double size = 2;
                    for (index_t r = 0; r < rows; ++r) {
                        sum += static_cast<double>(p.x.view()(r, c));
                        size += std::abs(static_cast<double>(p.x.view()(r, c)));
                    }
                    ASSERT_NEAR(actual[static_cast<std::size_t>(c)], sum, std::ldexp((run + 2) * size, -24)) << c;
                }
            }
            EXPECT_EQ(runs[1], runs[0]);
            EXPECT_EQ(runs[2], runs[0]);
        }
    }
}

TEST_F(ElementwiseCuda, NegativeExpAndItsGradient) {
    Problem p(DType::f32, DType::f32, 70, 16, 0, true);
    negative_exp(p.x.view(), p.y.view());
    p.gpu_y.poison();
    negative_exp_cuda(p.gpu_x.view(), p.gpu_y.view(), nullptr);
    auto const actual = p.gpu_y.values();
    for (std::size_t i = 0; i < actual.size(); ++i) {
        // Two exponentials of double, rounded to float: the same, or neighbours.
        ASSERT_FLOAT_EQ(actual[i], p.y.data()[i]);
    }
    p.gpu_y.expect_guards("A");
    p.gpu_y.put(p.y.view());
    Problem da(DType::f32, DType::f32, 16, 70, 0, true);
    negative_exp_backward(p.y.view(), da.x.view(), da.y.view());
    negative_exp_backward_cuda(p.gpu_y.view(), da.gpu_x.view(), da.gpu_y.view(), nullptr);
    da.expect_same();
}

TEST_F(DropoutCuda, DropsWhatTheProcessorDrops) {
    std::uint64_t const seed = 77;
    auto const gpu_seed = upload(&seed, 1);
    for_each_shape([&](DType x_type, DType y_type, index_t rows, index_t cols, index_t shift) {
        for (float const probability : {0.0F, 0.1F, 0.75F}) {
            Problem p(x_type, y_type, rows, cols, shift);
            dropout({p.x.view(), p.y.view(), probability, &seed, 3, 1000});
            p.gpu_y.poison();
            dropout_cuda({.x = p.gpu_x.view(),
                          .y = p.gpu_y.view(),
                          .probability = probability,
                          .seed = gpu_seed.data(),
                          .site = 3,
                          .first_row = 1000},
                         nullptr);
            p.expect_same();
            if (x_type != y_type) { continue; }
            dropout_cuda({.x = p.gpu_x.view(),
                          .y = p.gpu_x.view(),
                          .probability = probability,
                          .seed = gpu_seed.data(),
                          .site = 3,
                          .first_row = 1000},
                         nullptr);
            EXPECT_EQ(p.gpu_x.bits(), p.gpu_y.bits()); // y may be x
        }
    });
}

/// Refused on the host: needs no GPU.
TEST(ElementwiseCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const x(nullptr, DType::f32, 3, 20);
    DeviceMatrix const narrow(nullptr, DType::f32, 3, 19);
    DeviceMatrix const rounded(nullptr, DType::bf16, 20, 3);
    DeviceMatrix const integers(nullptr, DType::i32, 3, 20);
    EXPECT_THROW(add_cuda(x, narrow, nullptr), Error);
    EXPECT_THROW(copy_cast_cuda(x, integers, nullptr), Error);
    EXPECT_THROW(negative_exp_cuda(x, rounded, nullptr), Error);
    EXPECT_THROW(negative_exp_backward_cuda(x, narrow, x, nullptr), Error);
    EXPECT_THROW(dropout_cuda({.x = x, .y = narrow}, nullptr), Error);
    EXPECT_THROW(dropout_cuda({.x = x, .y = x, .probability = 1.0F}, nullptr), Error);
}

} // namespace
} // namespace strandwave
