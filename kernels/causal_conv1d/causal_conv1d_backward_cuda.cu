#include "kernels/causal_conv1d/causal_conv1d_backward_cuda.h"

#include "kernels/causal_conv1d/causal_conv1d_backward_walk.cuh"
#include "kernels/cuda/partial_sums.cuh"
#include "lib/core/check.h"

#include <algorithm>

namespace strandwave {
namespace conv_backward {
namespace {

/// Leaves row `k` of a thread block's partial sums, which are [d_conv + 1, channels]: of dweight, then of dbias.
template <int V>
__device__ void leave_sums(Args const& a, index_t k, index_t channel, float (&sums)[V]) {
    sum_over_rows_of_threads(sums);
    if (threadIdx.y > 0 || channel >= a.x.cols) { return; }
    float* const to = a.scratch + (static_cast<index_t>(blockIdx.x) * (a.d_conv + 1) + k) * a.x.cols + channel;
#pragma unroll
    for (int v = 0; v < V; ++v) {
        to[v] = sums[v];
    }
}

/// A thread has V channels of `blocks_each` blocks of rows.
template <class T, int V, bool Accumulate>
__global__ void __launch_bounds__(kThreads, 2) differentiate(Args const a, index_t blocks_each) {
    index_t const channel = group_index() * V;
    index_t const first = row_index() * blocks_each;
    index_t const end = min(first + blocks_each, a.block_count);
    float weight_sums[kUsualConv][V] = {};
    float bias_sums[V] = {};
    if (channel < a.x.cols && first < end) {
        Walk<T, V, Accumulate> walk(a, channel);
        walk.run(first, end);
        add(walk.bias_sums, bias_sums);
#pragma unroll
        for (int k = 0; k < kUsualConv; ++k) {
            add(walk.weight_sums[k], weight_sums[k]);
        }
    }
#pragma unroll
    for (int k = 0; k < kUsualConv; ++k) {
        leave_sums(a, k, channel, weight_sums[k]);
    }
    leave_sums(a, kUsualConv, channel, bias_sums);
}

/// The rows of a segment from a block's first one on, as far as a kernel looks, and the slot that its end is handed to
/// (negative: none, or the end is farther).
struct Ahead {
    index_t rows;
    index_t final;
    __device__ Ahead(Args const& a, index_t block, index_t wanted) {
        rows = a.blocks[block].count;
        while (rows < wanted && block + 1 < a.block_count && a.blocks[block + 1].offset > 0) {
            rows += a.blocks[++block].count;
        }
        final = a.blocks[block].final;
    }
};

/// dL/ds of the row `i` behind a block's first one, for any d_conv. Adds what it gives to dweight to `weight_sums`,
/// unless that is null.
template <class T>
__device__ float gradient_of_sum(Args const& a, RowBlock const& block, index_t i, index_t channel, float* weight_sums) {
    float sum = a.bias != nullptr ? a.bias[channel] : 0.0F;
    float input[1];
    for (index_t k = 0; k < a.d_conv; ++k) {
        load_input<T>(a, block, i - (a.d_conv - 1) + k, channel, input);
        sum = fmaf(a.weight[k * a.x.cols + channel], input[0], sum);
    }
    float dy[1];
    load(TimeLine<T>(a.dy, block, channel).at(i), dy);
    float const gradient = dy[0] * silu_slope(sum, T{});
    for (index_t k = 0; weight_sums != nullptr && k < a.d_conv; ++k) {
        load_input<T>(a, block, i - (a.d_conv - 1) + k, channel, input);
        weight_sums[k] = fmaf(gradient, input[0], weight_sums[k]);
    }
    return gradient;
}

/// One channel of one block for any d_conv; `sums` are of dweight, then of dbias.
template <class T>
__device__ void differentiate_block(Args const& a, index_t b, index_t channel, float* sums) {
    RowBlock const block = a.blocks[b];
    index_t const history = a.d_conv - 1;
    Ahead const ahead(a, b, block.count + history);
    float gradients[kBlockRows + kMaxConv - 1]; // dL/ds of the block's rows and those behind it; zeros behind the end
    for (index_t i = 0; i < block.count + history; ++i) {
        gradients[i] = 0.0F;
        if (i < ahead.rows) {
            gradients[i] = gradient_of_sum<T>(a, block, i, channel, i < block.count ? sums : nullptr);
        }
        if (i < block.count) { sums[a.d_conv] += gradients[i]; }
    }
    TimeLine<T> const dx(a.dx, block, channel);
    for (index_t i = 0; i < block.count; ++i) {
        float result[1] = {0.0F};
        if (a.accumulate) { load(dx.at(i), result); }
        for (index_t k = 0; k < a.d_conv; ++k) {
            result[0] = fmaf(a.weight[k * a.x.cols + channel], gradients[i + history - k], result[0]);
        }
        add_final(a, ahead.final, i - (ahead.rows - history), channel, result);
        store(result, dx.at(i));
    }
}

template <class T>
__global__ void __launch_bounds__(kThreads) differentiate_any(Args const a, index_t blocks_each) {
    index_t const channel = group_index();
    index_t const first = row_index() * blocks_each;
    index_t const end = min(first + blocks_each, a.block_count);
    float sums[kMaxConv + 1] = {};
    for (index_t b = first; b < end && channel < a.x.cols; ++b) {
        differentiate_block<T>(a, b, channel, sums);
    }
    for (index_t k = 0; k <= a.d_conv; ++k) {
        float sum[1] = {sums[k]};
        leave_sums(a, k, channel, sum);
    }
}

/// The gradients of the inputs that segments came with. A launch of its own, behind all that read the final slots:
/// d_initial may be d_final. Newest row first, so that each row of d_final is read before its place is written to.
template <class T>
__global__ void __launch_bounds__(kThreads) hand_back(Args const a) {
    index_t const channel = group_index();
    if (row_index() >= a.block_count || channel >= a.x.cols) { return; }
    RowBlock const block = a.blocks[row_index()];
    if (block.offset > 0 || block.initial < 0) { return; }
    index_t const history = a.d_conv - 1;
    Ahead const ahead(a, row_index(), history);
    float gradients[kMaxConv - 1]; // dL/ds of the segment's first rows
    for (index_t i = 0; i < history; ++i) {
        gradients[i] = i < ahead.rows ? gradient_of_sum<T>(a, block, i, channel, nullptr) : 0.0F;
    }
    for (index_t m = history - 1; m >= 0; --m) {
        float result[1] = {0.0F};
        for (index_t k = 0; k <= m; ++k) {
            result[0] = fmaf(a.weight[k * a.x.cols + channel], gradients[m - k], result[0]);
        }
        add_final(a, ahead.final, m - ahead.rows, channel, result);
        a.d_initial[(block.initial * history + m) * a.x.cols + channel] = result[0];
    }
}

constexpr index_t kMostBlocks = 256; ///< thread blocks of the first launch: two for each multiprocessor
constexpr index_t kFewBlocks = 128;  ///< with fewer, thread blocks are made smaller, to use more multiprocessors

/// Who has which blocks of rows. It does not follow the actual GPU, so that sums have the same order everywhere.
struct Share {
    dim3 grid, threads;
    index_t blocks_each; ///< of a row of threads

    Share(index_t blocks, index_t groups) {
        ChannelGrid const whole(blocks, groups);
        index_t const x = whole.threads.x;
        index_t const columns = whole.grid.y;
        index_t y = whole.threads.y;
        index_t const most_rows = std::max<index_t>(1, kMostBlocks * kThreads / (columns * x));
        blocks_each = (blocks + most_rows - 1) / most_rows;
        index_t const rows = (blocks + blocks_each - 1) / blocks_each;
        while (y > 1 && x * y > 64 && (rows + y - 1) / y * columns < kFewBlocks) {
            y /= 2;
        }
        threads = dim3(static_cast<unsigned>(x), static_cast<unsigned>(y));
        grid = dim3(static_cast<unsigned>((rows + y - 1) / y), whole.grid.y);
    }
};

template <class T, int V>
Share launch_usual(Args const& a, GpuStream stream) {
    Share const share(a.block_count, a.x.cols / V);
    auto const kernel = a.accumulate ? differentiate<T, V, true> : differentiate<T, V, false>;
    kernel<<<share.grid, share.threads, 0, stream>>>(a, share.blocks_each);
    return share;
}

template <class T>
Share launch_any(Args const& a, GpuStream stream) {
    Share const share(a.block_count, a.x.cols);
    differentiate_any<T><<<share.grid, share.threads, 0, stream>>>(a, share.blocks_each);
    return share;
}

/// Quads are for bf16, whose silu' is a few instructions: with that of f32, a thread's registers would not hold them.
bool quads(Args const& a) {
    bool const matrices = in_quads(a.x) && in_quads(a.dy) && in_quads(a.dx);
    return a.x.dtype == DType::bf16 && matrices && in_quads(a.weight) && in_quads(a.bias) && in_quads(a.initial) &&
           in_quads(a.d_final);
}

template <class T>
void launch(Args const& a, GpuStream stream) {
    constexpr int kWide = sizeof(T) == 2 ? kQuad : 1;
    Share const share = a.d_conv != kUsualConv ? launch_any<T>(a, stream)
                        : quads(a)             ? launch_usual<T, kWide>(a, stream)
                                               : launch_usual<T, 1>(a, stream);
    check_launch("causal_conv1d_backward");
    index_t const channels = a.x.cols;
    add_partial_sums(a.scratch, share.grid.x, (a.d_conv + 1) * channels, a.dweight, a.d_conv * channels, a.dbias,
                     stream);
    if (a.d_initial == nullptr || a.d_conv == 1) { return; }
    ChannelGrid const g(a.block_count, channels);
    hand_back<T><<<g.grid, g.threads, 0, stream>>>(a);
    check_launch("causal_conv1d_backward, state");
}

} // namespace
} // namespace conv_backward

index_t causal_conv1d_backward_scratch_floats(index_t /*rows*/, index_t blocks, index_t channels, index_t d_conv) {
    return std::min(blocks, conv_backward::kMostBlocks) * (d_conv + 1) * channels;
}

void causal_conv1d_backward_cuda(CausalConv1dBackwardCudaArgs const& args, GpuStream stream) {
    char const* op = "causal_conv1d_backward";
    for (auto const* m : {&args.dy, &args.dx}) {
        check_extent(op, "rows of a gradient", m->rows, args.x.rows);
        check_extent(op, "channels of a gradient", m->cols, args.x.cols);
        if (m->dtype != args.x.dtype) {
            throw Error(ErrorCode::unsupported, "causal_conv1d_backward: x is " +
                                                    std::string(dtype_name(args.x.dtype)) + ", a gradient is " +
                                                    std::string(dtype_name(m->dtype)));
        }
    }
    if (args.d_conv < 1 || args.d_conv > kMaxConv) {
        throw Error(ErrorCode::unsupported, "causal_conv1d_backward: d_conv " + std::to_string(args.d_conv) +
                                                " is not in 1.." + std::to_string(kMaxConv));
    }
    if (args.block_count == 0 || args.x.empty()) { return; }
    with_element(op, args.x.dtype, [&](auto zero) { conv_backward::launch<decltype(zero)>(args, stream); });
}

} // namespace strandwave
