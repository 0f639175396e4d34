#include "kernels/gemm/gemm.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

/// c (+)= op(a) op(b) as plain loops.
template <class Real>
std::vector<Real> plain_product(GemmArgs const& g, View<float const, 2> before) {
    index_t const inner = g.transpose_a ? g.a.rows : g.a.cols;
    std::vector<Real> c;
    for (index_t i = 0; i < before.rows; ++i) {
        for (index_t j = 0; j < before.cols; ++j) {
            Real sum = 0;
            for (index_t k = 0; k < inner; ++k) {
                sum += static_cast<Real>(g.transpose_a ? g.a(k, i) : g.a(i, k)) *
                       static_cast<Real>(g.transpose_b ? g.b(j, k) : g.b(k, j));
            }
            c.push_back(g.accumulate ? sum + static_cast<Real>(before(i, j)) : sum);
        }
    }
    return c;
}

struct Problem {
    Problem(index_t m, index_t n, index_t k, bool transpose_a, bool transpose_b, index_t extra_stride)
        : a(transpose_a ? k : m, transpose_a ? m : k, extra_stride),
          b(transpose_b ? n : k, transpose_b ? k : n, 2 * extra_stride), c(m, n, extra_stride), before(m, n) {
        Random random(3);
        for (auto* matrix : {&a, &b, &before}) {
            matrix->fill([&] { return random.normal(); });
        }
    }

    GemmArgs args(bool transpose_a, bool transpose_b, bool accumulate) {
        return {a.view(), transpose_a, b.view(), transpose_b, c.view(), accumulate};
    }

    GuardedMatrix a, b, c, before;
};

/// Without `accumulate` c holds NaN, which must not come through.
void expect_right(index_t m, index_t n, index_t k, bool transpose_a, bool transpose_b, index_t extra_stride,
                  bool accumulate) {
    SCOPED_TRACE(std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k) +
                 (transpose_a ? " a^T" : "") + (transpose_b ? " b^T" : "") + (accumulate ? " +=" : " =") + ", gap " +
                 std::to_string(extra_stride));
    Problem p(m, n, k, transpose_a, transpose_b, extra_stride);
    auto const args = p.args(transpose_a, transpose_b, accumulate);
    for (index_t i = 0; accumulate && i < m; ++i) {
        for (index_t j = 0; j < n; ++j) {
            p.c.view()(i, j) = p.before.view()(i, j);
        }
    }
    auto const exact = plain_product<double>(args, p.before.view());
    auto const plain = plain_product<float>(args, p.before.view());
    gemm(args);
    testing::expect_within_twice(p.c.view(), exact.data(), plain.data());
    p.c.expect_guards("c");
}

TEST(Gemm, IsWithinTwiceTheErrorOfAPlainLoop) {
    constexpr std::array<std::array<index_t, 3>, 7> kSizes{
        {{1, 1, 1}, {2, 3, 5}, {1, 17, 33}, {17, 1, 31}, {48, 16, 128}, {31, 33, 127}, {64, 40, 1000}}};
    for (auto const& [m, n, k] : kSizes) {
        for (int flags = 0; flags < 8; ++flags) {
            for (index_t const extra_stride : {0, 3}) {
                expect_right(m, n, k, (flags & 1) != 0, (flags & 2) != 0, extra_stride, (flags & 4) != 0);
            }
        }
    }
}

/// One row of a matrix may have any stride: nobody steps over it.
TEST(Gemm, TakesSingleRowsOfAnyStride) {
    Problem p(1, 9, 1, false, false, 0);
    auto args = p.args(false, false, false);
    args.a.row_stride = 0;
    args.b.row_stride = 1;
    args.c.row_stride = 3;
    gemm(args);
    for (index_t j = 0; j < 9; ++j) {
        EXPECT_EQ(p.c.view()(0, j), p.a.view()(0, 0) * p.b.view()(0, j));
    }
    p.c.expect_guards("c");
}

TEST(Gemm, RunsGiveTheSameBits) {
    Problem first(65, 47, 301, true, false, 1);
    Problem second(65, 47, 301, true, false, 1);
    gemm(first.args(true, false, false));
    gemm(second.args(true, false, false));
    for (index_t i = 0; i < 65; ++i) {
        for (index_t j = 0; j < 47; ++j) {
            ASSERT_EQ(first.c.view()(i, j), second.c.view()(i, j));
        }
    }
}

TEST(Gemm, SumsOfNothingAreZeroAndAddNothing) {
    Problem p(3, 4, 0, false, false, 2);
    gemm(p.args(false, false, false));
    for (index_t j = 0; j < 4; ++j) {
        EXPECT_EQ(p.c.view()(2, j), 0.0F);
    }
    p.c.expect_guards("c");
    p.c.fill([] { return 7.0; });
    gemm(p.args(false, false, true));
    EXPECT_EQ(p.c.view()(1, 3), 7.0F);
    Problem none(0, 4, 5, false, false, 0);
    gemm(none.args(false, false, false));
    none.c.expect_guards("c");
}

TEST(Gemm, RefusesShapesThatDisagree) {
    Problem p(3, 4, 5, false, false, 0);
    EXPECT_THROW(gemm(p.args(true, false, false)), Error);
    EXPECT_THROW(gemm(p.args(false, true, false)), Error);
    auto args = p.args(false, false, false);
    args.c = args.c.cols_from(0, 3);
    EXPECT_THROW(gemm(args), Error);
    args = p.args(false, false, false);
    args.a.row_stride = 4;
    EXPECT_THROW(gemm(args), Error);
}

} // namespace
} // namespace strandwave
