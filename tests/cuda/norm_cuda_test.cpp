#include "kernels/norm/norm_cuda.h"

#include "kernels/norm/norm_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::GuardedMatrix;

class NormCuda : public testing::GpuTest {};

constexpr DType kTypes[] = {DType::f32, DType::bf16};

struct Problem {
    Problem(DType x_type, DType y_type, index_t rows_, index_t d_, index_t shift = 0)
        : rows(rows_), d(d_), y_dtype(y_type), x(rows, d), weight(1, d), bias(1, d), gpu_x(x_type, rows, d, 8, shift),
          gpu_weight(DType::f32, 1, d), gpu_bias(DType::f32, 1, d), y(y_type, rows, d, 4, shift) {
        Random random(2);
        x.fill([&] { return 3.0 + random.normal(); });
        weight.fill([&] { return random.normal(); });
        bias.fill([&] { return random.normal(); });
        round_to(x_type, x);
        gpu_x.put(x.view());
        gpu_weight.put(weight.view());
        gpu_bias.put(bias.view());
    }

    NormCudaArgs args(bool centred, bool affine) const {
        return {.x = gpu_x.view(),
                .y = y.view(),
                .weight = affine ? gpu_weight.data() : nullptr,
                .bias = affine ? gpu_bias.data() : nullptr,
                .epsilon = 1e-5F,
                .centred = centred};
    }

    void expect_right(bool centred, bool affine) {
        NormArgs host{.x = x.view(), .weight = {}, .bias = {}, .epsilon = 1e-5F, .y = {}};
        if (affine) {
            host.weight = weight.vector();
            host.bias = bias.vector();
        }
        auto const exact = norm_reference<double>(host, centred);
        auto const plain = norm_reference<float>(host, centred);
        norm_cuda(args(centred, affine), nullptr);
        y.expect_guards("y");
        auto const actual = y.values();
        auto const view = as_view(actual, rows, d);
        if (y_dtype == DType::bf16) {
            testing::expect_rounded_to_bf16(view, exact.data(), plain.data(), [](double) { return 0.0; });
        } else {
            testing::expect_within_twice(view, exact.data(), plain.data());
        }
    }

    index_t rows, d;
    DType y_dtype;
    GuardedMatrix x, weight, bias;
    GpuMatrix gpu_x, gpu_weight, gpu_bias, y;
};

template <class Body>
void for_each_kind(Body const& body) {
    for (auto const x_type : kTypes) {
        for (auto const y_type : kTypes) {
            for (bool const centred : {false, true}) {
                SCOPED_TRACE(std::string(dtype_name(x_type)) + " to " + std::string(dtype_name(y_type)) +
                             (centred ? ", layer" : ", rms"));
                body(x_type, y_type, centred);
            }
        }
    }
}

TEST_F(NormCuda, IsWithinTheBoundOfItsType) {
    for_each_kind([](DType x_type, DType y_type, bool centred) {
        // Each width of the kernels that keep a row in registers, the widths between, and those that none of them
        // takes.
        for (index_t const d : {1, 7, 8, 16, 20, 31, 33, 64, 128, 130, 256, 512, 1000, 1024, 1536, 2560, 2564, 5001}) {
            SCOPED_TRACE("d " + std::to_string(d));
            Problem(x_type, y_type, 5, d).expect_right(centred, true);
            Problem(x_type, y_type, 5, d).expect_right(centred, false);
        }
        for (index_t const rows : {1, 2, 15, 16, 17, 63, 257}) {
            SCOPED_TRACE(std::to_string(rows) + " rows");
            Problem(x_type, y_type, rows, 16).expect_right(centred, false);
            Problem(x_type, y_type, rows, 33).expect_right(centred, true);
            Problem(x_type, y_type, rows, 256).expect_right(centred, true);
        }
    });
}

TEST_F(NormCuda, RunsAlignmentsAndCompanyGiveTheSameBits) {
    for_each_kind([](DType x_type, DType y_type, bool centred) {
        for (index_t const d : {16, 64, 256, 1024, 2560}) {
            SCOPED_TRACE("d " + std::to_string(d));
            Problem first(x_type, y_type, 19, d);
            Problem second(x_type, y_type, 19, d);
            Problem shifted(x_type, y_type, 19, d, 1); // one element off: no vector loads
            for (auto* p : {&first, &second, &shifted}) {
                norm_cuda(p->args(centred, true), nullptr);
            }
            EXPECT_EQ(first.y.bits(), second.y.bits());
            EXPECT_EQ(first.y.bits(), shifted.y.bits());
            second.y.poison();
            auto one = second.args(centred, true);
            one.x = one.x.rows_from(17, 1);
            one.y = one.y.rows_from(17, 1);
            norm_cuda(one, nullptr);
            EXPECT_EQ(first.y.bits(17, 1), second.y.bits(17, 1));
            second.y.expect_row_untouched(16);
            second.y.expect_row_untouched(18);
        }
    });
}

TEST_F(NormCuda, YMayBeX) {
    for (auto const type : kTypes) {
        for (index_t const d : {16, 33, 256, 3000}) {
            for (bool const centred : {false, true}) {
                Problem p(type, type, 9, d);
                norm_cuda(p.args(centred, true), nullptr);
                auto args = p.args(centred, true);
                args.y = args.x;
                norm_cuda(args, nullptr);
                EXPECT_EQ(p.gpu_x.bits(), p.y.bits());
                p.gpu_x.expect_guards("x");
            }
        }
    }
}

TEST_F(NormCuda, ZerosStayZeros) {
    for_each_kind([](DType x_type, DType y_type, bool centred) {
        Problem p(x_type, y_type, 3, 20);
        p.x.fill([] { return 0.0; });
        p.gpu_x.put(p.x.view());
        norm_cuda(p.args(centred, false), nullptr);
        EXPECT_EQ(p.y.values(), std::vector<float>(60, 0.0F));
    });
}

/// Refused on the host: needs no GPU.
TEST(NormCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const x(nullptr, DType::f32, 3, 20);
    DeviceMatrix const narrow(nullptr, DType::f32, 3, 19);
    DeviceMatrix const integers(nullptr, DType::i32, 3, 20);
    EXPECT_THROW(norm_cuda({.x = x, .y = narrow}, nullptr), Error);
    EXPECT_THROW(norm_cuda({.x = x, .y = integers}, nullptr), Error);
}

} // namespace
} // namespace strandwave
