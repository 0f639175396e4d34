#include "kernels/dt_projection/dt_projection_cuda.h"

#include "kernels/linear/linear_reference.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::GuardedMatrix;

struct DtProjectionCuda : testing::GpuTest {};

template <class Real>
std::vector<Real> softplus(std::vector<Real> values) {
    for (Real& v : values) {
        v = v > Real{20} ? v : std::log1p(std::exp(v));
    }
    return values;
}

float rounded(DType dtype, double value) {
    auto const f = static_cast<float>(value);
    return dtype == DType::bf16 ? to_f32(to_bf16(f)) : f;
}

void expect_right(DType dtype, index_t rows, index_t rank, index_t d_inner) {
    SCOPED_TRACE(std::to_string(rows) + " rows, rank " + std::to_string(rank) + ", d_inner " + std::to_string(d_inner) +
                 (dtype == DType::bf16 ? " bf16" : " f32"));
    Random random(9);
    auto const draw = [&] { return rounded(dtype, random.normal()); };
    GuardedMatrix x(rows, rank);
    GuardedMatrix weight(d_inner, rank);
    GuardedMatrix bias(1, d_inner);
    x.fill(draw);
    weight.fill([&] { return rounded(dtype, 0.3 * random.normal()); });
    bias.fill([&] { return random.uniform(-7.0, 0.5); });
    GpuMatrix gpu_x(dtype, rows, rank, 2 * 16); // columns of a wider matrix, as dbc has them
    GpuMatrix gpu_weight(dtype, d_inner, rank);
    GpuMatrix gpu_bias(DType::f32, 1, d_inner);
    GpuMatrix gpu_dt(dtype, rows, d_inner);
    gpu_x.put(x.view());
    gpu_weight.put(weight.view());
    gpu_bias.put(bias.view());
    dt_projection_cuda({gpu_x.view(), gpu_weight.view().data, gpu_bias.data(), gpu_dt.view()}, nullptr);
    auto const exact = softplus(linear_reference<double>(x.view(), weight.view(), bias.vector()));
    auto const plain = softplus(linear_reference<float>(x.view(), weight.view(), bias.vector()));
    gpu_dt.expect_guards("dt");
    auto const values = gpu_dt.values();
    auto const dt = as_view(values, rows, d_inner);
    if (dtype == DType::f32) {
        testing::expect_within_twice(dt, exact.data(), plain.data());
        return;
    }
    // Tensor cores may cut off what falls below the last place of the largest of up to `rank` terms, which are below 8;
    // the fast softplus is off by the units of 1 + exp(x) and of its logarithm.
    double const more = static_cast<double>(rank) * 8 * 0x1p-24 + 0x1p-20;
    testing::expect_rounded_to_bf16(dt, exact.data(), plain.data(), [&](double) { return more; });
}

TEST_F(DtProjectionCuda, IsRightAtAllShapes) {
    for (DType const dtype : {DType::f32, DType::bf16}) {
        for (index_t const rows : {1, 15, 16, 17, 63, 300}) {
            expect_right(dtype, rows, 16, 64);
        }
        for (index_t const rank : {1, 2, 3, 8, 17, 48, 100, 256}) {
            expect_right(dtype, 33, rank, 40);
        }
        for (index_t const d_inner : {1, 7, 8, 31, 33, 512, 513, 1536}) {
            expect_right(dtype, 65, 16, d_inner);
        }
    }
}

} // namespace
} // namespace strandwave
