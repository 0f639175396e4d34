#include "kernels/cross_entropy/cross_entropy_cuda.h"

#include "kernels/cross_entropy/loss_team.cuh"
#include "kernels/cuda/math.cuh"
#include "lib/core/check.h"

#include <string>

namespace strandwave {
namespace {

using device::Merge;
using device::RowStats;

/// The logits of a row, with those of its mate on the other strand.
struct RowLogits {
    float const* own;
    float const* other; ///< null: none
    std::int32_t const* complement;

    __device__ float operator()(int v) const { return other == nullptr ? own[v] : own[v] + other[complement[v]]; }
};

/// What a row, with its mate, adds to the sums; all threads of the team know the same.
struct RowResult {
    RowStats stats;
    float right; ///< logit of the target
};

template <class T>
__device__ RowResult read_row(RowLogits const& logits, int classes, int target) {
    RowStats stats;
    float right = 0.0F;
#pragma unroll 4
    for (int v = T::rank(); v < classes; v += T::kSize) {
        float const value = logits(v);
        stats.take(value, v);
        if (v == target) { right = value; }
    }
    // One thread holds the target's logit and the others 0.
    return {T::all(stats, Merge{}), T::all(right, device::Plus{})};
}

/// Each thread writes where it alone has read: so dlogits may be logits.
template <class T, class Y>
__device__ void write_row(CrossEntropyCudaArgs const& a, RowLogits const& logits, index_t row, index_t mate,
                          RowStats const& stats) {
    auto const classes = static_cast<int>(a.logits.cols);
    int const target = a.targets[row];
    float const scale = a.scale == nullptr ? 1.0F : *a.scale;
    float const factor = __fdiv_rn(1.0F, stats.sum);
    Y* to = static_cast<Y*>(a.dlogits.data);
#pragma unroll 4
    for (int v = T::rank(); v < classes; v += T::kSize) {
        float const p = expf(logits(v) - stats.largest) * factor;
        Y const gradient = device::from_float<Y>(scale * (v == target ? p - 1.0F : p));
        to[row * a.dlogits.row_stride + v] = gradient;
        if (mate >= 0) { to[mate * a.dlogits.row_stride + a.complement[v]] = gradient; }
    }
}

template <class T, class Y>
__device__ void clear_row(DeviceMatrix const& dlogits, index_t row) {
    Y* to = static_cast<Y*>(dlogits.data) + row * dlogits.row_stride;
    for (index_t v = T::rank(); v < dlogits.cols; v += T::kSize) {
        to[v] = device::from_float<Y>(0.0F);
    }
}

/// Loops are over rows, the same ones for all threads of a team.
template <class T, class Y>
__global__ void __launch_bounds__(kThreads) cross_entropy_rows(CrossEntropyCudaArgs const a, LossSums* blocks) {
    LossSums sums;
    auto const classes = static_cast<int>(a.logits.cols);
    bool const writes = a.dlogits.data != nullptr;
    auto const* logits = static_cast<float const*>(a.logits.data);
    index_t const step = static_cast<index_t>(gridDim.x) * T::kTeams;
    for (index_t row = static_cast<index_t>(blockIdx.x) * T::kTeams + T::index(); row < a.logits.rows; row += step) {
        int const target = a.targets[row];
        index_t const mate = a.mates == nullptr ? -1 : a.mates[row];
        if (target < 0) {
            bool const from_mate = mate >= 0 && a.targets[mate] >= 0;
            if (writes && !from_mate) { clear_row<T, Y>(a.dlogits, row); }
            continue;
        }
        RowLogits const row_logits{logits + row * a.logits.row_stride,
                                   mate < 0 ? nullptr : logits + mate * a.logits.row_stride, a.complement};
        RowResult const result = read_row<T>(row_logits, classes, target);
        double const behind = static_cast<double>(result.stats.largest) - static_cast<double>(result.right);
        sums.loss += target < classes ? log(static_cast<double>(result.stats.sum)) + behind : nan("");
        sums.correct += result.stats.place == target ? 1.0 : 0.0;
        sums.count += 1.0;
        if (writes) { write_row<T, Y>(a, row_logits, row, mate, result.stats); }
    }
    device::write_block_sums<T>(sums, blocks);
}

constexpr int kSumThreads = 256;

/// One thread block; each thread adds every kSumThreads-th, then they are added in order.
__global__ void __launch_bounds__(kSumThreads) add_blocks(LossSums const* blocks, index_t count, LossSums* sums) {
    __shared__ double parts[kSumThreads][3];
    double mine[3] = {};
    for (index_t i = threadIdx.x; i < count; i += kSumThreads) {
        mine[0] += blocks[i].loss;
        mine[1] += blocks[i].correct;
        mine[2] += blocks[i].count;
    }
    for (int i = 0; i < 3; ++i) {
        parts[threadIdx.x][i] = mine[i];
    }
    for (unsigned distance = kSumThreads / 2; distance > 0; distance /= 2) {
        __syncthreads();
        for (int i = 0; i < 3 && threadIdx.x < distance; ++i) {
            parts[threadIdx.x][i] += parts[threadIdx.x + distance][i];
        }
    }
    if (threadIdx.x != 0) { return; }
    sums->loss = parts[0][0];
    sums->correct = parts[0][1];
    sums->count = parts[0][2];
}

} // namespace

index_t loss_scratch_doubles() {
    static_assert(sizeof(LossSums) == 3 * sizeof(double));
    return 3 * device::kLossBlocks;
}

void check_loss_logits(char const* op, DeviceMatrix const& logits) {
    if (logits.dtype != DType::f32) {
        throw Error(ErrorCode::unsupported, std::string(op) + ": logits and targets are f32 on the GPU, not " +
                                                std::string(dtype_name(logits.dtype)));
    }
    if (logits.rows > 0 && (logits.cols < 1 || logits.cols > INT_MAX / 2)) {
        throw Error(ErrorCode::shape_mismatch, std::string(op) + ": " + std::to_string(logits.cols) + " classes");
    }
}

void add_loss_blocks(LossSums const* blocks, index_t count, LossSums* sums, GpuStream stream) {
    add_blocks<<<1, kSumThreads, 0, stream>>>(blocks, count, sums);
    check_launch("sum of losses");
}

void cross_entropy_cuda(CrossEntropyCudaArgs const& args, GpuStream stream) {
    check_loss_logits("cross_entropy", args.logits);
    if (args.dlogits.data != nullptr) {
        check_extent("cross_entropy", "rows of dlogits", args.dlogits.rows, args.logits.rows);
        check_extent("cross_entropy", "classes of dlogits", args.dlogits.cols, args.logits.cols);
    }
    auto* blocks = reinterpret_cast<LossSums*>(args.scratch);
    if (args.logits.rows == 0) { return add_loss_blocks(blocks, 0, args.sums, stream); }
    device::with_team(args.logits.rows, args.logits.cols, [&](auto team, unsigned count) {
        with_element("cross_entropy", args.dlogits.dtype, [&](auto zero) {
            cross_entropy_rows<decltype(team), decltype(zero)><<<count, kThreads, 0, stream>>>(args, blocks);
        });
        check_launch("cross_entropy");
        add_loss_blocks(blocks, count, args.sums, stream);
    });
}

} // namespace strandwave
