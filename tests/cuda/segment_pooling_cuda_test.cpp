#include "kernels/pooling/segment_pooling_cuda.h"

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

class SegmentPoolingCuda : public testing::GpuTest {};

constexpr Pooling kPoolings[] = {Pooling::mean, Pooling::max, Pooling::first, Pooling::last};
constexpr index_t kOuts = 11;
constexpr index_t kRows = 8830;

/// Records of many lengths, in order of rows, with rows of none between them; strands that meet in one row, an out row
/// that stays empty (7), and empty segments that fill up the list.
std::vector<PooledSegment> segments() {
    return {{1, 0, 0, 1.0F},      {1, 1, 1, 1.0F},     {2, 1, 9, 0.5F},     {3, 3, 3, 0.5F},     {6, 16, 8, 1.0F},
            {25, 17, 5, 2.0F},    {63, 64, 6, 1.0F},   {127, 65, 2, 1.0F},  {200, 150, 3, 0.5F}, {350, 8261, 4, 0.5F},
            {8700, 128, 4, 0.5F}, {8828, 1, 10, 1.0F}, {kRows, 0, 0, 1.0F}, {kRows, 0, 0, 1.0F}};
}

struct Problem {
    Problem(DType x_type, DType dx_type, index_t d_, index_t shift = 0)
        : d(d_), x(kRows, d), dpooled(kOuts, d), pooled(kOuts, d), dx(kRows, d), gpu_x(x_type, kRows, d, 4, shift),
          gpu_dpooled(DType::f32, kOuts, d, 4, shift), gpu_pooled(DType::f32, kOuts, d, 3),
          gpu_dx(dx_type, kRows, d, 8, shift),
          scratch(DType::f32, 1, segment_pooling_scratch_floats(kRows, static_cast<index_t>(all.size()), d)) {
        Random random(9);
        // Few values: rows that share the maximum.
        x.fill([&] { return static_cast<double>(random.below(400)) / 64 - 5; });
        dpooled.fill([&] { return random.normal(); });
        round_to(x_type, x);
        gpu_x.put(x.view());
        gpu_dpooled.put(dpooled.view());
        gpu_segments = upload(all.data(), static_cast<index_t>(all.size()));
    }

    void forward(Pooling pooling) {
        segment_pooling({pooling, x.view(), all, pooled.view()});
        segment_pooling_cuda({.pooling = pooling,
                              .x = gpu_x.view(),
                              .segments = gpu_segments.data(),
                              .count = gpu_segments.size(),
                              .pooled = gpu_pooled.view(),
                              .scratch = scratch.data()},
                             nullptr);
        scratch.expect_guards("scratch");
        gpu_pooled.expect_guards("pooled");
    }
    void backward(Pooling pooling) {
        segment_pooling_backward({pooling, x.view(), all, dpooled.view(), dx.view()});
        segment_pooling_backward_cuda({.pooling = pooling,
                                       .x = gpu_x.view(),
                                       .segments = gpu_segments.data(),
                                       .count = gpu_segments.size(),
                                       .dpooled = gpu_dpooled.view(),
                                       .dx = gpu_dx.view()},
                                      nullptr);
        gpu_dx.expect_guards("dx");
    }

    /// Means: at most 63 additions in fp32, and as many roundings as there are segments of an out row and a product, of
    /// relative error 2^-24 each.
    double mean_bound(index_t out, index_t channel) {
        double size = 0;
        for (auto const& segment : all) {
            for (index_t t = segment.begin; segment.out == out && t < segment.begin + segment.length; ++t) {
                size += std::abs(static_cast<double>(x.view()(t, channel))) * static_cast<double>(segment.factor) /
                        static_cast<double>(segment.length);
            }
        }
        return std::ldexp(70 * size, -24);
    }

    index_t d;
    std::vector<PooledSegment> all = segments();
    GuardedMatrix x, dpooled, pooled, dx;
    GpuMatrix gpu_x, gpu_dpooled, gpu_pooled, gpu_dx, scratch;
    DeviceArray<PooledSegment> gpu_segments;
};

TEST_F(SegmentPoolingCuda, PoolsManyRecordsAtOnce) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const d : {1, 7, 8, 33, 130}) {
            Problem p(dtype, dtype, d);
            for (auto const pooling : kPoolings) {
                SCOPED_TRACE(std::string(dtype_name(dtype)) + ", d " + std::to_string(d) + ", pooling " +
                             std::to_string(static_cast<int>(pooling)));
                p.gpu_pooled.poison();
                p.forward(pooling);
                auto const actual = p.gpu_pooled.values();
                for (index_t out = 0; out < kOuts; ++out) {
                    for (index_t c = 0; c < d; ++c) {
                        double const wanted = p.pooled.view()(out, c);
                        double const bound = pooling == Pooling::mean ? p.mean_bound(out, c) : 0.0;
                        ASSERT_LE(std::abs(actual[static_cast<std::size_t>(out * d + c)] - wanted), bound)
                            << "out " << out << ", channel " << c << " should be " << wanted;
                    }
                }
            }
        }
    }
}

TEST_F(SegmentPoolingCuda, GradientsHaveTheBitsOfTheProcessor) {
    for (auto const x_type : {DType::f32, DType::bf16}) {
        for (auto const dx_type : {DType::f32, DType::bf16}) {
            for (index_t const d : {1, 7, 8, 33, 132}) {
                Problem p(x_type, dx_type, d);
                for (auto const pooling : kPoolings) {
                    SCOPED_TRACE(std::string(dtype_name(x_type)) + " to " + std::string(dtype_name(dx_type)) + ", d " +
                                 std::to_string(d) + ", pooling " + std::to_string(static_cast<int>(pooling)));
                    p.gpu_dx.poison();
                    p.backward(pooling);
                    round_to(dx_type, p.dx);
                    EXPECT_EQ(p.gpu_dx.values(), std::vector<float>(p.dx.data(), p.dx.data() + kRows * d));
                }
            }
        }
    }
}

TEST_F(SegmentPoolingCuda, RunsAndAlignmentsGiveTheSameBits) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        Problem first(dtype, dtype, 12);
        Problem shifted(dtype, dtype, 12, 1); // one element off: no vector loads
        for (auto const pooling : kPoolings) {
            first.forward(pooling);
            first.backward(pooling);
            auto const pooled = first.gpu_pooled.bits();
            auto const dx = first.gpu_dx.bits();
            first.forward(pooling);
            shifted.forward(pooling);
            shifted.backward(pooling);
            EXPECT_EQ(first.gpu_pooled.bits(), pooled);
            EXPECT_EQ(shifted.gpu_pooled.bits(), pooled);
            EXPECT_EQ(shifted.gpu_dx.bits(), dx);
        }
    }
}

TEST_F(SegmentPoolingCuda, NothingIsZeros) {
    Problem p(DType::f32, DType::f32, 12);
    for (auto const pooling : kPoolings) {
        p.gpu_pooled.poison();
        p.gpu_dx.poison();
        segment_pooling_cuda({.pooling = pooling,
                              .x = p.gpu_x.view().rows_from(0, 0),
                              .pooled = p.gpu_pooled.view(),
                              .scratch = p.scratch.data()},
                             nullptr);
        segment_pooling_backward_cuda(
            {.pooling = pooling, .x = p.gpu_x.view(), .dpooled = p.gpu_dpooled.view(), .dx = p.gpu_dx.view()}, nullptr);
        EXPECT_EQ(p.gpu_pooled.values(), std::vector<float>(kOuts * 12, 0.0F));
        EXPECT_EQ(p.gpu_dx.values(), std::vector<float>(kRows * 12, 0.0F));
    }
}

/// Refused on the host: needs no GPU.
TEST(SegmentPoolingCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const x(nullptr, DType::f32, 3, 20);
    DeviceMatrix const narrow(nullptr, DType::f32, 3, 19);
    DeviceMatrix const rounded(nullptr, DType::bf16, 3, 20);
    EXPECT_THROW(segment_pooling_cuda({.x = x, .pooled = narrow}, nullptr), Error);
    EXPECT_THROW(segment_pooling_cuda({.x = x, .pooled = rounded}, nullptr), Error);
    EXPECT_THROW(segment_pooling_backward_cuda({.dpooled = x, .dx = narrow}, nullptr), Error);
    EXPECT_THROW(segment_pooling_backward_cuda({.pooling = Pooling::max, .x = narrow, .dpooled = x, .dx = x}, nullptr),
                 Error);
}

} // namespace
} // namespace strandwave
