#include "kernels/gemm/gemm_cuda.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

class GemmOnGpu : public testing::GpuTest {};

struct Types {
    DType factors, product;
};
constexpr Types kTypes[] = {{DType::f32, DType::f32}, {DType::bf16, DType::f32}, {DType::bf16, DType::bf16}};

struct Shape {
    index_t m, n, k;
    bool transpose_a, transpose_b, accumulate;
    index_t extra_stride = 0;
    index_t shift = 0; ///< elements off their alignment

    std::string name() const {
        return std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) + (transpose_a ? " a^T" : "") +
               (transpose_b ? " b^T" : "") + (accumulate ? " +=" : " =") + ", gap " + std::to_string(extra_stride) +
               ", shift " + std::to_string(shift);
    }
};

struct Problem {
    Problem(Types types_, Shape const& shape_)
        : types(types_), shape(shape_), a(a_rows(), a_cols()), b(b_rows(), b_cols()), before(shape.m, shape.n),
          gpu_a(types.factors, a_rows(), a_cols(), shape.extra_stride, shape.shift),
          gpu_b(types.factors, b_rows(), b_cols(), 2 * shape.extra_stride, shape.shift),
          gpu_c(types.product, shape.m, shape.n, shape.extra_stride, shape.shift) {
        Random random(3);
        for (auto* matrix : {&a, &b, &before}) {
            matrix->fill([&] { return random.normal(); });
        }
        round_to(types.factors, a);
        round_to(types.factors, b);
        round_to(types.product, before);
        gpu_a.put(a.view());
        gpu_b.put(b.view());
        if (shape.accumulate) { gpu_c.put(before.view()); } // else it holds NaN, which must not come through
    }

    index_t a_rows() const { return shape.transpose_a ? shape.k : shape.m; }
    index_t a_cols() const { return shape.transpose_a ? shape.m : shape.k; }
    index_t b_rows() const { return shape.transpose_b ? shape.n : shape.k; }
    index_t b_cols() const { return shape.transpose_b ? shape.k : shape.n; }

    void run(GemmCuda& gemm) {
        gemm.apply(gpu_a.view(), shape.transpose_a, gpu_b.view(), shape.transpose_b, gpu_c.view(), shape.accumulate,
                   nullptr);
    }

    /// A sum of k products in fp32, in whatever order: each product and each addition may lose a unit in the last
    /// place (tensor cores cut off where others round) of the sum of all sizes. Then it may be rounded to bf16, and
    /// what is added to c before that.
    void expect_right() {
        auto const actual = gpu_c.values();
        gpu_c.expect_guards("c");
        for (index_t i = 0; i < shape.m; ++i) {
            for (index_t j = 0; j < shape.n; ++j) {
                double wanted = shape.accumulate ? static_cast<double>(before.view()(i, j)) : 0.0;
                double size = std::abs(wanted);
                for (index_t k = 0; k < shape.k; ++k) {
                    double const product = static_cast<double>(shape.transpose_a ? a.view()(k, i) : a.view()(i, k)) *
                                           static_cast<double>(shape.transpose_b ? b.view()(j, k) : b.view()(k, j));
                    wanted += product;
                    size += std::abs(product);
                }
                double bound = std::ldexp(static_cast<double>(2 * shape.k + 2) * size, -23);
                if (types.product == DType::bf16) {
                    double const added = shape.accumulate ? wanted - static_cast<double>(before.view()(i, j)) : 0.0;
                    bound += testing::half_ulp_of_bf16(std::abs(added) + bound);
                    bound += testing::half_ulp_of_bf16(std::abs(wanted) + bound);
                }
                ASSERT_LE(std::abs(static_cast<double>(actual[static_cast<std::size_t>(i * shape.n + j)]) - wanted),
                          bound)
                    << i << ", " << j << " should be " << wanted;
            }
        }
    }

    Types types;
    Shape shape;
    GuardedMatrix a, b, before;
    GpuMatrix gpu_a, gpu_b, gpu_c;
};

TEST_F(GemmOnGpu, IsWithinTheBoundOfASum) {
    GemmCuda gemm;
    constexpr std::array<std::array<index_t, 3>, 9> kSizes{{{1, 1, 1},
                                                            {2, 3, 5},
                                                            {1, 17, 33},
                                                            {17, 1, 31},
                                                            {48, 16, 128},
                                                            {31, 33, 127},
                                                            {130, 40, 257},
                                                            {64, 256, 64},
                                                            {33, 65, 1500}}};
    for (auto const types : kTypes) {
        for (auto const& [m, n, k] : kSizes) {
            for (int flags = 0; flags < 8; ++flags) {
                for (index_t const gap : {0, 1, 8}) {
                    Shape const shape{m, n, k, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, gap, gap % 2};
                    SCOPED_TRACE(std::string(dtype_name(types.factors)) + " to " +
                                 std::string(dtype_name(types.product)) + ", " + shape.name());
                    Problem p(types, shape);
                    p.run(gemm);
                    p.expect_right();
                }
            }
        }
    }
}

/// A weight's gradient: long sums of few outputs, which are split over the chip.
TEST_F(GemmOnGpu, LongSumsAreRightAndHaveTheSameBitsEveryRun) {
    for (auto const types : kTypes) {
        for (index_t const k : {20000, 20011}) {
            Shape const shape{80, 24, k, true, false, true};
            SCOPED_TRACE(shape.name());
            GemmCuda first_gemm;
            GemmCuda second_gemm;
            Problem first(types, shape);
            first.run(first_gemm);
            first.expect_right();
            for (int repeat = 0; repeat < 5; ++repeat) {
                Problem again(types, shape);
                again.run(repeat % 2 == 0 ? first_gemm : second_gemm);
                ASSERT_EQ(again.gpu_c.bits(), first.gpu_c.bits());
            }
        }
    }
}

/// Slices of a wider matrix, as x_proj's output has them: dt, B and C side by side.
TEST_F(GemmOnGpu, TakesColumnsOfAWiderMatrix) {
    GemmCuda gemm;
    Problem p({DType::bf16, DType::f32}, {40, 48, 20, false, false, false});
    Problem part({DType::bf16, DType::f32}, {40, 16, 20, false, false, false});
    p.run(gemm);
    gemm.apply(p.gpu_a.view(), false, p.gpu_b.view().cols_from(17, 16), false, part.gpu_c.view(), false, nullptr);
    auto const whole = p.gpu_c.values();
    auto const slice = part.gpu_c.values();
    for (index_t i = 0; i < 40; ++i) {
        for (index_t j = 0; j < 16; ++j) {
            // Two algorithms, each within its bound of 42 units of a sum of 20 products of normal numbers.
            ASSERT_NEAR(slice[static_cast<std::size_t>(i * 16 + j)], whole[static_cast<std::size_t>(i * 48 + 17 + j)],
                        std::ldexp(2.0 * 42 * 100, -23));
        }
    }
}

TEST_F(GemmOnGpu, SumsOfNothingAreZeroAndAddNothing) {
    GemmCuda gemm;
    for (auto const types : kTypes) {
        Problem zero(types, {3, 4, 0, false, false, false, 2});
        zero.run(gemm);
        EXPECT_EQ(zero.gpu_c.values(), std::vector<float>(12, 0.0F));
        zero.gpu_c.expect_guards("c");
        Problem same(types, {3, 4, 0, false, false, true, 2});
        auto const before = same.gpu_c.bits();
        same.run(gemm);
        EXPECT_EQ(same.gpu_c.bits(), before);
        Problem none(types, {0, 4, 5, false, false, false});
        none.run(gemm);
        none.gpu_c.expect_guards("c");
    }
}

TEST_F(GemmOnGpu, RefusesShapesAndTypes) {
    GemmCuda gemm;
    auto const refuses = [&](DeviceMatrix a, DeviceMatrix b, DeviceMatrix c) {
        EXPECT_THROW(gemm.apply(a, false, b, false, c, false, nullptr), Error);
    };
    auto const make = [](DType type, index_t rows, index_t cols) { return DeviceMatrix(nullptr, type, rows, cols); };
    refuses(make(DType::f32, 3, 5), make(DType::f32, 4, 4), make(DType::f32, 3, 4));
    refuses(make(DType::f32, 3, 5), make(DType::f32, 5, 4), make(DType::f32, 4, 4));
    refuses(make(DType::f32, 3, 5), make(DType::f32, 5, 4), make(DType::f32, 3, 3));
    refuses(make(DType::f32, 3, 5), make(DType::bf16, 5, 4), make(DType::f32, 3, 4));
    refuses(make(DType::f32, 3, 5), make(DType::f32, 5, 4), make(DType::bf16, 3, 4));
    refuses(make(DType::f16, 3, 5), make(DType::f16, 5, 4), make(DType::f32, 3, 4));
}

} // namespace
} // namespace strandwave
