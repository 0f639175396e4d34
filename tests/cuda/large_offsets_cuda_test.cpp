#include "kernels/causal_conv1d/causal_conv1d_cuda.h"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/norm/norm_cuda.h"
#include "kernels/pooling/pooling_cuda.h"
#include "lib/core/random.h"
#include "tests/support/gpu.h"

#include <gtest/gtest.h>
#include <vector>

namespace strandwave {
namespace {

using testing::GpuMatrix;
using testing::GuardedMatrix;

constexpr index_t kRows = 40;
constexpr index_t kCols = 8;
constexpr index_t kWide = index_t{1} << 26; ///< the last row begins behind element 2^31

/// Tests whose rows are far apart; they skip where the GPU has not the memory for that.
class LargeOffsetsCuda : public testing::GpuTest {
protected:
    void SetUp() override {
        GpuTest::SetUp();
        if (IsSkipped()) { return; }
        index_t const bytes = kRows * kWide * dtype_bytes(DType::bf16);
        if (free_device_bytes() < bytes + bytes / 8) {
            GTEST_SKIP() << "SKIPPED: the GPU has no " << bytes << " bytes";
        }
    }
};

/// x and y side by side in rows that are far apart, and the same without gaps: an op has to make the same of both.
struct Problem {
    Problem()
        : memory(kRows * kWide * dtype_bytes(DType::bf16)), near_x(DType::bf16, kRows, kCols),
          near_y(DType::bf16, kRows, kCols), parameters(DType::f32, 4, kCols) {
        DeviceMatrix const all(memory.data(), DType::bf16, kRows, kWide);
        x = all.cols_from(0, kCols);
        y = all.cols_from(kCols, kCols);
        Random random(4);
        GuardedMatrix values(kRows, kCols);
        values.fill([&] { return random.normal(); });
        near_x.put(values.view());
        parameters.put(values.view().rows_from(0, 4));
        for (index_t r = 0; r < kRows; ++r) {
            auto const row = near_x.bits(r, 1);
            copy_to_device(x.rows_from(r, 1).data, row.data(), static_cast<index_t>(row.size()), nullptr);
        }
    }

    std::vector<std::byte> y_bits() const {
        std::vector<std::byte> bits;
        for (index_t r = 0; r < kRows; ++r) {
            auto const row = testing::download(y.rows_from(r, 1).as<std::byte>(), kCols * dtype_bytes(y.dtype));
            bits.insert(bits.end(), row.begin(), row.end());
        }
        return bits;
    }

    DeviceMemory memory;
    DeviceMatrix x, y;
    GpuMatrix near_x, near_y, parameters;
};

TEST_F(LargeOffsetsCuda, CausalConv1d) {
    Problem p;
    std::vector<PackedSegment> const segments{{0, kRows}};
    auto const host_blocks = cut_into_blocks(segments, false);
    auto const count = static_cast<index_t>(host_blocks.size());
    auto const blocks = upload(host_blocks.data(), count);
    auto const run = [&](DeviceMatrix x, DeviceMatrix y) {
        causal_conv1d_cuda(
            {.x = x, .y = y, .weight = p.parameters.data(), .d_conv = 4, .blocks = blocks.data(), .block_count = count},
            nullptr);
    };
    run(p.x, p.y);
    run(p.near_x.view(), p.near_y.view());
    EXPECT_EQ(p.y_bits(), p.near_y.bits());
}

TEST_F(LargeOffsetsCuda, Norm) {
    Problem p;
    norm_cuda({.x = p.x, .y = p.y, .weight = p.parameters.data()}, nullptr);
    norm_cuda({.x = p.near_x.view(), .y = p.near_y.view(), .weight = p.parameters.data()}, nullptr);
    EXPECT_EQ(p.y_bits(), p.near_y.bits());
}

TEST_F(LargeOffsetsCuda, Embedding) {
    Problem p;
    std::vector<std::int32_t> const tokens(kRows, 3);
    auto const gpu_tokens = upload(tokens.data(), kRows);
    embedding_cuda(p.parameters.data(), gpu_tokens.data(), p.y, nullptr);
    embedding_cuda(p.parameters.data(), gpu_tokens.data(), p.near_y.view(), nullptr);
    EXPECT_EQ(p.y_bits(), p.near_y.bits());
}

TEST_F(LargeOffsetsCuda, Pooling) {
    Problem p;
    PoolSegment const segment{0, kRows, 0, 0};
    auto const segments = upload(&segment, 1);
    GpuMatrix const partial(DType::f32, 1, pool_partial_floats(kRows, 1, kCols));
    auto const run = [&](Pooling pooling, DeviceMatrix x) {
        DeviceArray<double> const state(kCols);
        pool_cuda(pooling, x, segments.data(), 1, state.data(), partial.data(), nullptr);
        return testing::download(state.data(), kCols);
    };
    for (auto const pooling : {Pooling::mean, Pooling::last}) {
        EXPECT_EQ(run(pooling, p.x), run(pooling, p.near_x.view()));
    }
}

} // namespace
} // namespace strandwave
