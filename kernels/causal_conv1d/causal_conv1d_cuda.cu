#include "kernels/causal_conv1d/causal_conv1d_cuda.h"

#include "kernels/cuda/element.cuh"
#include "lib/core/check.h"

namespace strandwave {
namespace {

constexpr index_t kUsualConv = 4; ///< d_conv of all published models; its taps and inputs stay in registers
constexpr int kBatchRows = 8;     ///< rows of a thread whose loads are under way at once

__device__ float silu(float s, float /*type of y*/) { return s / (1.0F + expf(-s)); }

/// Two instructions of the special function unit for twenty others. Relative error at most (|s| + 4) 2^-23 (PTX ISA:
/// ex2.approx.ftz 2^-22.5, rcp.approx.ftz 2^-23; the argument of ex2 is rounded twice), far below the 2^-9 or more of
/// rounding to bf16. Below s = -87 the result is 0.
__device__ float silu(float s, __nv_bfloat16 /*type of y*/) {
    constexpr float kLog2OfE = 1.44269504F;
    float exponential;
    float reciprocal;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(exponential) : "f"(-kLog2OfE * s));
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(1.0F + exponential));
    return s * reciprocal;
}

/// Where a block's first row lies in a matrix, and how far it is to the next row in time.
template <class T>
struct TimeLine {
    T* first;
    index_t step;
    __device__ TimeLine(DeviceMatrix const& matrix, RowBlock const& block, index_t channel)
        : first(static_cast<T*>(matrix.data) + block.begin * matrix.row_stride + channel),
          step(block.step * matrix.row_stride) {}
    __device__ T* at(index_t i) const { return first + i * step; }
};

/// The input `i` rows of time behind the block's first row. Negative i: an earlier row of the segment or, before that,
/// of the state that the segment comes from.
template <class T, int V>
__device__ void load_input(CausalConv1dCudaArgs const& a, RowBlock const& block, TimeLine<T> const& x, index_t i,
                           index_t channel, float (&to)[V]) {
    index_t const row = block.offset + i;
    if (row >= 0) { return load(x.at(i), to); }
    for (int v = 0; v < V; ++v) {
        to[v] = 0.0F;
    }
    if (block.initial < 0) { return; }
    index_t const history = a.d_conv - 1;
    float const* state = a.state + (block.initial * history + history + row) * a.x.cols + channel;
    for (int v = 0; v < V; ++v) {
        to[v] = state[v];
    }
}

/// silu of the sum of taps, oldest first; `inputs` are the oldest input and those behind it.
template <class T, int V>
__device__ void convolve_row(float const (&weight)[kUsualConv][V], float const (&bias)[V], float const (*inputs)[V],
                             T* y) {
    float result[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
        float sum = bias[v];
#pragma unroll
        for (int k = 0; k < kUsualConv; ++k) {
            sum = fmaf(weight[k][v], inputs[k][v], sum);
        }
        result[v] = silu(sum, T{});
    }
    store(result, y);
}

/// A thread has V channels of one block of rows; parameters and inputs are in registers.
template <class T, int V>
__global__ void __launch_bounds__(kThreads) convolve(CausalConv1dCudaArgs const a) {
    constexpr int kHistory = kUsualConv - 1;
    index_t const channel = group_index() * V;
    if (row_index() >= a.block_count || channel >= a.x.cols) { return; }
    RowBlock const block = a.blocks[row_index()];
    TimeLine<T> const x(a.x, block, channel);
    TimeLine<T> const y(a.y, block, channel);

    // kBatchRows loads are under way at any time, and the first of them before anything waits.
    T const* from = x.at(-kHistory);
    T* to = y.first;
    Packed<T, V> earlier[kHistory];
    Packed<T, V> rows[kBatchRows];
    bool const within = block.offset >= kHistory;
#pragma unroll
    for (int k = 0; k < kHistory; ++k, from += x.step) {
        if (within) { earlier[k] = load_packed<V>(from); }
    }
#pragma unroll
    for (int i = 0; i < kBatchRows; ++i, from += x.step) {
        if (i < block.count) { rows[i] = load_packed<V>(from); }
    }
    float weight[kUsualConv][V];
    float bias[V] = {};
#pragma unroll
    for (int k = 0; k < kUsualConv; ++k) {
        load(a.weight + k * a.x.cols + channel, weight[k]);
    }
    if (a.bias != nullptr) { load(a.bias + channel, bias); }

    float inputs[kHistory + kBlockRows][V];
#pragma unroll
    for (int k = 0; k < kHistory; ++k) {
        within ? unpack(earlier[k], inputs[k]) : load_input(a, block, x, k - kHistory, channel, inputs[k]);
    }
#pragma unroll
    for (int i = 0; i < kBlockRows; ++i, from += x.step, to += y.step) {
        if (i >= block.count) { return; }
        unpack(rows[i % kBatchRows], inputs[kHistory + i]);
        if (i + kBatchRows < kBlockRows && i + kBatchRows < block.count) {
            rows[i % kBatchRows] = load_packed<V>(from);
        }
        convolve_row(weight, bias, inputs + i, to);
    }
}

/// The same for any d_conv: a thread has one channel and finds its inputs in the cache.
template <class T>
__global__ void __launch_bounds__(kThreads) convolve_any(CausalConv1dCudaArgs const a) {
    index_t const channel = group_index();
    if (row_index() >= a.block_count || channel >= a.x.cols) { return; }
    RowBlock const block = a.blocks[row_index()];
    TimeLine<T> const x(a.x, block, channel);
    TimeLine<T> const y(a.y, block, channel);
    for (int i = 0; i < block.count; ++i) {
        float sum = a.bias != nullptr ? a.bias[channel] : 0.0F;
        for (index_t k = 0; k < a.d_conv; ++k) {
            float input[1];
            load_input(a, block, x, i - (a.d_conv - 1) + k, channel, input);
            sum = fmaf(a.weight[k * a.x.cols + channel], input[0], sum);
        }
        float const result[1] = {silu(sum, T{})};
        store(result, y.at(i));
    }
}

constexpr index_t kStateThreads = 32; ///< a warp for each block of rows
constexpr index_t kStateRows = kThreads / kStateThreads;
constexpr int kStateChannels = 8; ///< of a thread, whose loads are under way at once

/// A thread's channels of one row, `first` and every 32nd behind it; from null: zeros.
template <class T>
__device__ void copy_channels(T const* from, float* to, index_t first, index_t channels) {
    T values[kStateChannels];
#pragma unroll
    for (int v = 0; v < kStateChannels; ++v) {
        index_t const channel = first + v * kStateThreads;
        if (channel < channels) { values[v] = from != nullptr ? from[channel] : T{}; }
    }
#pragma unroll
    for (int v = 0; v < kStateChannels; ++v) {
        index_t const channel = first + v * kStateThreads;
        float value[1];
        unpack(values[v], value);
        if (channel < channels) { to[channel] = value[0]; }
    }
}

/// Leaves the last inputs of each segment in its final slot. A launch of its own, behind all that read the initial
/// slots: final may be initial, and blocks run in any order. Within it a channel is one thread's, which reads each row
/// of the state before it writes to that row.
template <class T>
__global__ void __launch_bounds__(kThreads) leave_state(CausalConv1dCudaArgs const a) {
    if (row_index() >= a.block_count) { return; }
    RowBlock const block = a.blocks[row_index()];
    if (block.final < 0) { return; }
    index_t const history = a.d_conv - 1;
    index_t const channels = a.x.cols;
    index_t const first = static_cast<index_t>(blockIdx.y) * kStateThreads * kStateChannels + threadIdx.x;
    TimeLine<T> const x(a.x, block, 0);
    for (index_t k = 0; k < history; ++k) {
        float* const to = a.state + (block.final * history + k) * channels;
        index_t const i = block.count - history + k; // rows of time behind the block's first row, as in load_input
        index_t const row = block.offset + i;
        if (row >= 0) {
            copy_channels<T>(x.at(i), to, first, channels);
        } else {
            float const* state = a.state + (block.initial * history + history + row) * channels;
            copy_channels<float>(block.initial >= 0 ? state : nullptr, to, first, channels);
        }
    }
}

template <class T>
void launch(CausalConv1dCudaArgs const& a, GpuStream stream) {
    bool const quads = in_quads(a.x) && in_quads(a.y) && in_quads(a.weight) && in_quads(a.bias);
    if (a.d_conv != kUsualConv) {
        ChannelGrid const g(a.block_count, a.x.cols);
        convolve_any<T><<<g.grid, g.threads, 0, stream>>>(a);
    } else if (quads) {
        ChannelGrid const g(a.block_count, a.x.cols / kQuad);
        convolve<T, kQuad><<<g.grid, g.threads, 0, stream>>>(a);
    } else {
        ChannelGrid const g(a.block_count, a.x.cols);
        convolve<T, 1><<<g.grid, g.threads, 0, stream>>>(a);
    }
    check_launch("causal_conv1d");
    if (a.state == nullptr || a.d_conv == 1) { return; }
    constexpr index_t kChannels = kStateThreads * kStateChannels;
    dim3 const grid(static_cast<unsigned>((a.block_count + kStateRows - 1) / kStateRows),
                    static_cast<unsigned>((a.x.cols + kChannels - 1) / kChannels));
    leave_state<T><<<grid, dim3(kStateThreads, kStateRows), 0, stream>>>(a);
    check_launch("causal_conv1d, state");
}

} // namespace

void causal_conv1d_cuda(CausalConv1dCudaArgs const& args, GpuStream stream) {
    char const* op = "causal_conv1d";
    check_extent(op, "rows of y", args.y.rows, args.x.rows);
    check_extent(op, "channels of y", args.y.cols, args.x.cols);
    if (args.d_conv < 1 || args.d_conv > kMaxConv) {
        throw Error(ErrorCode::unsupported, "causal_conv1d: d_conv " + std::to_string(args.d_conv) + " is not in 1.." +
                                                std::to_string(kMaxConv));
    }
    if (args.x.dtype != args.y.dtype) {
        throw Error(ErrorCode::unsupported, "causal_conv1d: x is " + std::string(dtype_name(args.x.dtype)) + ", y is " +
                                                std::string(dtype_name(args.y.dtype)));
    }
    if (args.block_count == 0 || args.x.empty()) { return; }
    with_element(op, args.x.dtype, [&](auto zero) { launch<decltype(zero)>(args, stream); });
}

} // namespace strandwave
