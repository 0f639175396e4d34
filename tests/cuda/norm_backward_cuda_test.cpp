#include "kernels/norm/norm_backward_cuda.h"

#include "kernels/norm/norm_backward_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"
#include "tests/support/gradients.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::GuardedMatrix;

class NormBackwardCuda : public testing::GpuTest {};

constexpr float kEpsilon = 1e-2F;

struct Types {
    DType x, dy, dx;
};

/// Of norm_backward.h, over all rows: bounds for the size of what is summed.
struct Largest {
    Largest(View<float const, 2> x, bool centred) {
        auto const d = static_cast<double>(x.cols);
        for (index_t t = 0; t < x.rows; ++t) {
            double mean = 0;
            double squares = 0;
            double farthest = 0;
            for (index_t c = 0; centred && c < x.cols; ++c) {
                mean += static_cast<double>(x(t, c)) / d;
            }
            for (index_t c = 0; c < x.cols; ++c) {
                double const difference = static_cast<double>(x(t, c)) - mean;
                squares += difference * difference;
                farthest = std::max(farthest, std::abs(difference));
            }
            double const r = 1 / std::sqrt(squares / d + static_cast<double>(kEpsilon));
            factor = std::max(factor, r);
            normal = std::max(normal, farthest * r);
        }
    }
    double factor = 0; ///< r
    double normal = 0; ///< |n|
};

struct Problem {
    Problem(Types types_, index_t rows_, index_t d_, index_t shift = 0)
        : types(types_), rows(rows_), d(d_), x(rows, d), dy(rows, d), before(rows, d), weight(1, d), dweight(1, d),
          dbias(1, d), gpu_x(types.x, rows, d, 8, shift), gpu_dy(types.dy, rows, d, 4, shift),
          dx(types.dx, rows, d, 12, shift), gpu_weight(DType::f32, 1, d), gpu_dweight(DType::f32, 1, d),
          gpu_dbias(DType::f32, 1, d), scratch(DType::f32, 1, norm_backward_scratch_floats(rows, d)) {
        Random random(2);
        x.fill([&] { return 1.0 + random.normal(); });
        for (auto* matrix : {&dy, &before, &weight, &dweight, &dbias}) {
            matrix->fill([&] { return random.normal(); });
        }
        round_to(types.x, x);
        round_to(types.dy, dy);
        round_to(types.dx, before);
        gpu_x.put(x.view());
        gpu_dy.put(dy.view());
        gpu_weight.put(weight.view());
        gpu_dweight.put(dweight.view());
        gpu_dbias.put(dbias.view());
    }

    NormBackwardCudaArgs args(bool centred, bool affine, bool accumulate) const {
        return {.x = gpu_x.view(),
                .dy = gpu_dy.view(),
                .dx = dx.view(),
                .weight = affine ? gpu_weight.data() : nullptr,
                .epsilon = kEpsilon,
                .centred = centred,
                .accumulate = accumulate,
                .dweight = affine ? gpu_dweight.data() : nullptr,
                .dbias = affine ? gpu_dbias.data() : nullptr,
                .scratch = affine ? scratch.data() : nullptr};
    }

    NormBackwardArgs host_args(bool affine) {
        NormBackwardArgs a{.x = x.view(),
                           .weight = {},
                           .epsilon = kEpsilon,
                           .dy = dy.view(),
                           .accumulate = false,
                           .dx = {},
                           .dweight = {},
                           .dbias = {}};
        if (affine) { a.weight = weight.vector(); }
        return a;
    }

    void expect_right(bool centred, bool affine, bool accumulate);
    void expect_parameters_right(NormGradients<double> const& exact, NormGradients<float> const& plain, double normal);

    Types types;
    index_t rows, d;
    GuardedMatrix x, dy, before, weight, dweight, dbias;
    GpuMatrix gpu_x, gpu_dy, dx, gpu_weight, gpu_dweight, gpu_dbias, scratch;
};

void Problem::expect_parameters_right(NormGradients<double> const& exact, NormGradients<float> const& plain,
                                      double normal) {
    gpu_dweight.expect_guards("dweight");
    gpu_dbias.expect_guards("dbias");
    scratch.expect_guards("scratch");
    auto const before_weight = testing::elements(dweight.view());
    auto const before_bias = testing::elements(dbias.view());
    auto const actual_weight = gpu_dweight.values();
    auto const actual_bias = gpu_dbias.values();
    double const terms = 5 + static_cast<double>(rows) * testing::largest_of(dy.view()) * std::max(1.0, normal);
    testing::expect_sums_within_twice(as_view(actual_weight, 1, d), testing::on_top(before_weight, exact.weight).data(),
                                      testing::on_top(before_weight, plain.weight).data(), terms);
    testing::expect_sums_within_twice(as_view(actual_bias, 1, d), testing::on_top(before_bias, exact.bias).data(),
                                      testing::on_top(before_bias, plain.bias).data(), terms);
}

void Problem::expect_right(bool centred, bool affine, bool accumulate) {
    auto const exact = norm_backward_reference<double>(host_args(affine), centred);
    auto const plain = norm_backward_reference<float>(host_args(affine), centred);
    if (accumulate) { dx.put(before.view()); }
    norm_backward_cuda(args(centred, affine, accumulate), nullptr);
    dx.expect_guards("dx");
    auto const added = accumulate ? testing::elements(before.view()) : std::vector<float>(exact.x.size(), 0.0F);
    auto const exact_x = testing::on_top(added, exact.x);
    auto const plain_x = testing::on_top(added, plain.x);
    // r * (g - mean(g) - n * mean(g n)): no mean is above |g|, since that of |n| is below 1.
    double const g = testing::largest_of(dy.view()) * (affine ? testing::largest_of(weight.view()) : 1.0);
    Largest const largest(x.view(), centred);
    double const terms = 5 + largest.factor * g * (2 + largest.normal);
    auto const actual = dx.values();
    auto const view = as_view(actual, rows, d);
    if (types.dx == DType::bf16) {
        double const ulp = terms * static_cast<double>(std::numeric_limits<float>::epsilon());
        testing::expect_rounded_to_bf16(view, exact_x.data(), plain_x.data(), [&](double) { return ulp; });
    } else {
        testing::expect_sums_within_twice(view, exact_x.data(), plain_x.data(), terms);
    }
    if (affine) { expect_parameters_right(exact, plain, largest.normal); }
}

template <class Body>
void for_each_kind(Body const& body) {
    constexpr DType kTypes[] = {DType::f32, DType::bf16};
    for (auto const x : kTypes) {
        for (auto const dy : kTypes) {
            for (auto const dx : kTypes) {
                for (bool const centred : {false, true}) {
                    SCOPED_TRACE("x " + std::string(dtype_name(x)) + ", dy " + std::string(dtype_name(dy)) + ", dx " +
                                 std::string(dtype_name(dx)) + (centred ? ", layer" : ", rms"));
                    body(Types{x, dy, dx}, centred);
                }
            }
        }
    }
}

TEST_F(NormBackwardCuda, IsWithinTheBoundOfItsType) {
    for_each_kind([](Types types, bool centred) {
        // Each width of the kernels that keep a row in registers, the widths between, and those that none of them
        // takes.
        for (index_t const d : {1, 7, 8, 16, 20, 31, 33, 64, 68, 128, 130, 256, 260, 512, 1000, 1024, 1028, 2001}) {
            SCOPED_TRACE("d " + std::to_string(d));
            Problem(types, 5, d).expect_right(centred, true, false);
            Problem(types, 5, d).expect_right(centred, false, true);
        }
        for (index_t const rows : {1, 2, 15, 16, 17, 63, 257}) {
            SCOPED_TRACE(std::to_string(rows) + " rows");
            Problem(types, rows, 16).expect_right(centred, true, true);
            Problem(types, rows, 33).expect_right(centred, true, false);
            Problem(types, rows, 256).expect_right(centred, true, true);
        }
    });
}

/// More rows than thread blocks: each has several.
TEST_F(NormBackwardCuda, ManyRowsAreSharedOut) {
    for (bool const centred : {false, true}) {
        for (index_t const d : {64, 66, 128, 1024}) {
            SCOPED_TRACE("d " + std::to_string(d));
            Problem({DType::f32, DType::bf16, DType::f32}, 7001, d).expect_right(centred, true, true);
        }
    }
}

TEST_F(NormBackwardCuda, RunsAndCompanyGiveTheSameBits) {
    for_each_kind([](Types types, bool centred) {
        for (index_t const d : {16, 33, 256, 1024, 1028}) {
            SCOPED_TRACE("d " + std::to_string(d));
            Problem first(types, 19, d);
            Problem second(types, 19, d);
            for (auto* p : {&first, &second}) {
                norm_backward_cuda(p->args(centred, true, false), nullptr);
            }
            EXPECT_EQ(first.dx.bits(), second.dx.bits());
            EXPECT_EQ(first.gpu_dweight.bits(), second.gpu_dweight.bits());
            EXPECT_EQ(first.gpu_dbias.bits(), second.gpu_dbias.bits());
            second.dx.poison();
            auto one = second.args(centred, true, false);
            one.x = one.x.rows_from(17, 1);
            one.dy = one.dy.rows_from(17, 1);
            one.dx = one.dx.rows_from(17, 1);
            one.dweight = nullptr;
            one.dbias = nullptr;
            norm_backward_cuda(one, nullptr);
            EXPECT_EQ(first.dx.bits(17, 1), second.dx.bits(17, 1));
            second.dx.expect_row_untouched(16);
            second.dx.expect_row_untouched(18);
        }
    });
}

TEST_F(NormBackwardCuda, OneOfTheParameterGradientsIsEnough) {
    for (index_t const d : {33, 256}) {
        Problem both({DType::f32, DType::f32, DType::f32}, 40, d);
        norm_backward_cuda(both.args(true, true, false), nullptr);
        for (bool const weight : {false, true}) {
            Problem p({DType::f32, DType::f32, DType::f32}, 40, d);
            auto args = p.args(true, true, false);
            (weight ? args.dbias : args.dweight) = nullptr;
            auto const untouched = (weight ? p.gpu_dbias : p.gpu_dweight).bits();
            norm_backward_cuda(args, nullptr);
            EXPECT_EQ((weight ? p.gpu_dweight : p.gpu_dbias).bits(),
                      (weight ? both.gpu_dweight : both.gpu_dbias).bits());
            EXPECT_EQ((weight ? p.gpu_dbias : p.gpu_dweight).bits(), untouched);
        }
    }
}

/// Widths with idle lanes and rows that do not exist may not divide 0 by 0.
TEST_F(NormBackwardCuda, WithoutEpsilonNothingBecomesNaN) {
    Problem p({DType::f32, DType::f32, DType::f32}, 3, 20);
    auto args = p.args(false, true, false);
    args.epsilon = 0.0F;
    norm_backward_cuda(args, nullptr);
    for (auto const* matrix : {&p.dx, &p.gpu_dweight, &p.gpu_dbias}) {
        for (float const value : matrix->values()) {
            EXPECT_TRUE(std::isfinite(value));
        }
    }
}

/// Refused on the host: needs no GPU.
TEST(NormBackwardCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const x(nullptr, DType::f32, 3, 20);
    DeviceMatrix const narrow(nullptr, DType::f32, 3, 19);
    DeviceMatrix const integers(nullptr, DType::i32, 3, 20);
    EXPECT_THROW(norm_backward_cuda({.x = x, .dy = narrow, .dx = x}, nullptr), Error);
    EXPECT_THROW(norm_backward_cuda({.x = x, .dy = x, .dx = narrow}, nullptr), Error);
    EXPECT_THROW(norm_backward_cuda({.x = x, .dy = integers, .dx = x}, nullptr), Error);
    EXPECT_THROW(norm_backward_cuda({.x = x, .dy = x, .dx = integers}, nullptr), Error);
}

} // namespace
} // namespace strandwave
