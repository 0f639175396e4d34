#include "kernels/pooling/pooling_cuda.h"

#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

class PoolingCuda : public testing::GpuTest {};

constexpr Pooling kPoolings[] = {Pooling::mean, Pooling::max, Pooling::first, Pooling::last};
constexpr index_t kSlots = 12;

/// Rows of random numbers and running states that hold something already.
struct Problem {
    Problem(DType dtype_, index_t rows_, index_t d_, index_t shift = 0)
        : dtype(dtype_), rows(rows_), d(d_), x(rows, d), gpu_x(dtype, rows, d, 4, shift) {
        Random random(9);
        x.fill([&] { return random.normal() - 3.0; });
        round_to(dtype, x);
        gpu_x.put(x.view());
        for (index_t i = 0; i < kSlots * d; ++i) {
            start.push_back(random.normal());
        }
    }

    /// The states after the calls for `pieces`, one behind the other.
    std::vector<double> run(Pooling pooling, std::vector<std::vector<PoolSegment>> const& calls) const {
        auto const state = upload(start.data(), kSlots * d);
        for (auto const& segments : calls) {
            auto const count = static_cast<index_t>(segments.size());
            auto const gpu_segments = upload(segments.data(), count);
            GpuMatrix const partial(DType::f32, 1, pool_partial_floats(rows, count, d));
            pool_cuda(pooling, gpu_x.view(), gpu_segments.data(), count, state.data(), partial.data(), nullptr);
            partial.expect_guards("partial sums");
        }
        return testing::download(state.data(), kSlots * d);
    }

    DType dtype;
    index_t rows, d;
    GuardedMatrix x;
    GpuMatrix gpu_x;
    std::vector<double> start;
};

/// Records of many lengths, in order of rows and not of slots, with rows between them that belong to none. One has
/// more partial sums than the second kernel takes at a time.
std::vector<PoolSegment> many_records() {
    return {{1, 0, 0, 0},   {1, 1, 0, 1},    {2, 1, 7, 9},      {3, 3, 0, 3},      {6, 16, 2, 8},     {25, 17, 0, 5},
            {63, 64, 5, 6}, {127, 65, 0, 2}, {200, 150, 70, 7}, {350, 8261, 0, 4}, {8700, 128, 0, 10}};
}
constexpr index_t kManyRows = 8830;

double sum_of_sizes(Problem& p, PoolSegment const& segment, index_t c) {
    double sum = 0;
    for (index_t t = segment.begin; t < segment.begin + segment.length; ++t) {
        sum += std::abs(static_cast<double>(p.x.view()(t, c)));
    }
    return sum;
}

void expect_right(Problem& p, Pooling pooling) {
    auto const records = many_records();
    auto const actual = p.run(pooling, {records});
    auto wanted = p.start;
    std::vector<double> bound(wanted.size(), 0.0);
    for (auto const& segment : records) {
        View<double, 1> const state{wanted.data() + segment.slot * p.d, p.d};
        for (index_t c = 0; pooling == Pooling::mean && c < p.d; ++c) {
            // kPoolRows - 1 additions in fp32, each of relative error 2^-24, and for all the rest in double one such.
            bound[static_cast<std::size_t>(segment.slot * p.d + c)] =
                std::ldexp(static_cast<double>(kPoolRows) * sum_of_sizes(p, segment, c), -24);
        }
        pool_accumulate(pooling, p.x.view().rows_from(segment.begin, segment.length), segment.seen, state);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_LE(std::abs(actual[i] - wanted[i]), bound[i])
            << "slot " << i / static_cast<std::size_t>(p.d) << ", channel " << i % static_cast<std::size_t>(p.d);
    }
}

TEST_F(PoolingCuda, PoolsManyRecordsAtOnce) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (index_t const d : {1, 7, 8, 33, 130, 512}) {
            Problem p(dtype, kManyRows, d);
            for (auto const pooling : kPoolings) {
                SCOPED_TRACE(std::string(dtype_name(dtype)) + ", d " + std::to_string(d) + ", pooling " +
                             std::to_string(static_cast<int>(pooling)));
                expect_right(p, pooling);
            }
        }
    }
}

TEST_F(PoolingCuda, PiecesOfWholeGroupsGiveTheBitsOfOneCall) {
    Problem const p(DType::f32, 1000, 12);
    for (auto const pooling : kPoolings) {
        auto const whole = p.run(pooling, {{{0, 1000, 0, 3}}});
        for (index_t const piece : {kPoolRows, 5 * kPoolRows, 15 * kPoolRows}) {
            std::vector<std::vector<PoolSegment>> calls;
            for (index_t done = 0; done < 1000; done += piece) {
                calls.push_back({{done, std::min(piece, 1000 - done), done, 3}});
            }
            EXPECT_EQ(p.run(pooling, calls), whole) << "pieces of " << piece;
        }
    }
}

TEST_F(PoolingCuda, RunsAlignmentsAndCompanyGiveTheSameBits) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        Problem const p(dtype, kManyRows, 12);
        Problem const shifted(dtype, kManyRows, 12, 1); // one element off: no vector loads
        for (auto const pooling : kPoolings) {
            auto const together = p.run(pooling, {many_records()});
            EXPECT_EQ(p.run(pooling, {many_records()}), together);
            EXPECT_EQ(shifted.run(pooling, {many_records()}), together);
            std::vector<std::vector<PoolSegment>> alone;
            for (auto const& record : many_records()) {
                alone.push_back({record});
            }
            EXPECT_EQ(p.run(pooling, alone), together);
        }
    }
}

TEST_F(PoolingCuda, NothingLeavesTheStateAlone) {
    Problem const p(DType::f32, 70, 12);
    for (auto const pooling : kPoolings) {
        EXPECT_EQ(p.run(pooling, {{}, {{70, 0, 0, 3}}}), p.start);
    }
}

} // namespace
} // namespace strandwave
