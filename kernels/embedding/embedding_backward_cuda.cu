#include "kernels/embedding/embedding_backward_cuda.h"

#include "kernels/cuda/partial_sums.cuh"
#include "lib/core/check.h"
#include "lib/cuda/device_memory.h"

#include <algorithm>

namespace strandwave {
namespace {

using Count = unsigned long long; // the type that atomicMax and atomicAdd take

constexpr index_t kFewTokens = 64;     ///< a vocabulary up to here is summed in shared memory
constexpr int kSlots = 8192;           ///< floats of shared memory: a sum for each token and each thread's channels
constexpr int kSumThreads = 128;       ///< that fit with kFewTokens tokens
constexpr index_t kMostPartials = 512; ///< thread blocks that share the rows
constexpr index_t kRowsOfToken = 8;    ///< rows of a thread block for each token, so that partial sums are few bytes
constexpr int kPendingRows = 8;        ///< of a thread, whose loads are under way at once
constexpr std::uint32_t kInfinity = 0x7f800000U;

index_t partial_rows(index_t rows, index_t vocab) {
    index_t const each = kRowsOfToken * std::max<index_t>(1, vocab);
    return std::clamp<index_t>((rows + each - 1) / each, 1, kMostPartials);
}

/// A thread has V channels and every blockDim.y-th row of its thread block, and a sum for each token, in shared memory.
template <class T, int V>
__global__ void __launch_bounds__(kSumThreads)
    sum_few(std::int32_t const* tokens, DeviceMatrix const dy, index_t vocab, index_t rows_each, float* partials) {
    __shared__ Packed<float, V> shared[kSlots / V];
    unsigned const thread = threadIdx.y * blockDim.x + threadIdx.x;
    index_t const channel = group_index() * V;
    bool const inside = channel < dy.cols;
    float value[V] = {};
    for (index_t token = 0; token < vocab; ++token) {
        pack(value, shared[token * kSumThreads + thread]);
    }
    index_t const begin = static_cast<index_t>(blockIdx.x) * rows_each;
    index_t const end = min(begin + rows_each, dy.rows);
    index_t const step = blockDim.y;
    for (index_t first = begin + threadIdx.y; inside && first < end; first += step * kPendingRows) {
        Packed<T, V> pending[kPendingRows];
        std::int32_t pending_tokens[kPendingRows];
#pragma unroll
        for (int i = 0; i < kPendingRows; ++i) {
            index_t const row = first + i * step;
            if (row >= end) { continue; }
            pending_tokens[i] = tokens[row];
            pending[i] = load_packed<V>(static_cast<T const*>(dy.data) + row * dy.row_stride + channel);
        }
#pragma unroll
        for (int i = 0; i < kPendingRows; ++i) {
            if (first + i * step >= end) { continue; }
            auto& slot = shared[pending_tokens[i] * kSumThreads + thread];
            float sum[V];
            unpack(slot, sum);
            unpack(pending[i], value);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                sum[v] += value[v];
            }
            pack(sum, slot);
        }
    }
    __syncthreads();
    for (index_t token = threadIdx.y; inside && token < vocab; token += blockDim.y) {
        float sum[V] = {};
        for (unsigned y = 0; y < blockDim.y; ++y) {
            unpack(shared[token * kSumThreads + y * blockDim.x + threadIdx.x], value);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                sum[v] += value[v];
            }
        }
        float* const to = partials + (static_cast<index_t>(blockIdx.x) * vocab + token) * dy.cols + channel;
#pragma unroll
        for (int v = 0; v < V; ++v) {
            to[v] = sum[v];
        }
    }
}

template <class T, int V>
void launch_few(std::int32_t const* tokens, DeviceMatrix dy, index_t vocab, float* dtable, float* partials,
                GpuStream stream) {
    index_t const blocks = partial_rows(dy.rows, vocab);
    ChannelGrid g(blocks, dy.cols / V);
    g.threads.y = kSumThreads / g.threads.x;
    g.grid.x = static_cast<unsigned>(blocks);
    sum_few<T, V><<<g.grid, g.threads, 0, stream>>>(tokens, dy, vocab, (dy.rows + blocks - 1) / blocks, partials);
    check_launch("embedding_backward");
    add_partial_sums(partials, blocks, vocab * dy.cols, dtable, vocab * dy.cols, nullptr, stream);
}

/// Scratch memory of a large vocabulary. `sums` of tokens that do not occur stay uninitialised.
struct Sums {
    Count* last;           ///< [vocab] 1 + the last row of the token; 0: none. That row's threads own the token's sums.
    Count* largest;        ///< the bits of the largest |dy|; those of floats >= 0 are in the order of the floats
    Count* values;         ///< [vocab, d] in fixed point, two's complement
    index_t cleared_bytes; ///< of `last` and `largest`, at the start

    Sums(void* scratch, index_t vocab)
        : last(static_cast<Count*>(scratch)), largest(last + vocab), values(largest + 1),
          cleared_bytes((vocab + 1) * static_cast<index_t>(sizeof(Count))) {}
};

/// A power of two, so that the sum of all rows stays below 2^62.
struct Scale {
    double steps; ///< in 1
    double step;
    bool finite;
    __device__ Scale(Count largest, index_t rows) : finite(largest < kInfinity) {
        int const size = static_cast<int>(largest >> 23) - 126;        // |dy| < 2^size, subnormals too
        int const length = 64 - __clzll(static_cast<long long>(rows)); // rows < 2^length
        steps = ldexp(1.0, 62 - size - length);
        step = ldexp(1.0, size + length - 62);
    }
    __device__ Count to_fixed(float value) const {
        return static_cast<Count>(__double2ll_rn(static_cast<double>(value) * steps));
    }
    __device__ float to_float(Count sum) const {
        double const value = __ll2double_rn(static_cast<long long>(sum)) * step;
        return finite ? static_cast<float>(value) : __int_as_float(0x7fffffff);
    }
};

/// A thread for each element of dy: calls body(row, channel, token).
template <class Body>
__device__ void for_each_element(std::int32_t const* tokens, DeviceMatrix const& dy, Body const& body) {
    index_t const channel = group_index();
    index_t const step = static_cast<index_t>(gridDim.x) * blockDim.y;
    for (index_t row = row_index(); row < dy.rows && channel < dy.cols; row += step) {
        body(row, channel, static_cast<index_t>(tokens[row]));
    }
}

template <class T>
__device__ float element(DeviceMatrix const& dy, index_t row, index_t channel) {
    float value[1];
    load(static_cast<T const*>(dy.data) + row * dy.row_stride + channel, value);
    return value[0];
}

template <class T>
__global__ void __launch_bounds__(kThreads) survey(std::int32_t const* tokens, DeviceMatrix const dy, Sums const sums) {
    std::uint32_t largest = 0;
    for_each_element(tokens, dy, [&](index_t row, index_t channel, index_t token) {
        largest = max(largest, __float_as_uint(fabsf(element<T>(dy, row, channel))));
        if (channel == 0) { atomicMax(&sums.last[token], static_cast<Count>(row + 1)); }
    });
    largest = __reduce_max_sync(0xffffffffU, largest);
    if ((threadIdx.y * blockDim.x + threadIdx.x) % 32 == 0) { atomicMax(sums.largest, static_cast<Count>(largest)); }
}

__global__ void __launch_bounds__(kThreads) clear(std::int32_t const* tokens, DeviceMatrix const dy, Sums const sums) {
    for_each_element(tokens, dy, [&](index_t row, index_t channel, index_t token) {
        if (sums.last[token] == static_cast<Count>(row + 1)) { sums.values[token * dy.cols + channel] = 0; }
    });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    sum_many(std::int32_t const* tokens, DeviceMatrix const dy, Sums const sums) {
    Scale const scale(*sums.largest, dy.rows);
    if (!scale.finite) { return; }
    for_each_element(tokens, dy, [&](index_t row, index_t channel, index_t token) {
        atomicAdd(&sums.values[token * dy.cols + channel], scale.to_fixed(element<T>(dy, row, channel)));
    });
}

__global__ void __launch_bounds__(kThreads)
    hand_out(std::int32_t const* tokens, DeviceMatrix const dy, Sums const sums, float* dtable) {
    Scale const scale(*sums.largest, dy.rows);
    for_each_element(tokens, dy, [&](index_t row, index_t channel, index_t token) {
        index_t const i = token * dy.cols + channel;
        if (sums.last[token] == static_cast<Count>(row + 1)) { dtable[i] += scale.to_float(sums.values[i]); }
    });
}

template <class T>
void launch_many(std::int32_t const* tokens, DeviceMatrix dy, index_t vocab, float* dtable, void* scratch,
                 GpuStream stream) {
    constexpr unsigned kMostBlocks = 4096;
    Sums const sums(scratch, vocab);
    ChannelGrid g(dy.rows, dy.cols);
    g.grid.x = std::min(g.grid.x, kMostBlocks);
    fill_bytes(scratch, 0, sums.cleared_bytes, stream);
    survey<T><<<g.grid, g.threads, 0, stream>>>(tokens, dy, sums);
    check_launch("embedding_backward, survey");
    clear<<<g.grid, g.threads, 0, stream>>>(tokens, dy, sums);
    check_launch("embedding_backward, clear");
    sum_many<T><<<g.grid, g.threads, 0, stream>>>(tokens, dy, sums);
    check_launch("embedding_backward");
    hand_out<<<g.grid, g.threads, 0, stream>>>(tokens, dy, sums, dtable);
    check_launch("embedding_backward, result");
}

} // namespace

index_t embedding_backward_scratch_bytes(index_t rows, index_t vocab, index_t d) {
    if (vocab <= kFewTokens) { return partial_rows(rows, vocab) * vocab * d * static_cast<index_t>(sizeof(float)); }
    return (vocab + 1 + vocab * d) * static_cast<index_t>(sizeof(Count));
}

void embedding_backward_cuda(std::int32_t const* tokens, DeviceMatrix dy, index_t vocab, float* dtable, void* scratch,
                             GpuStream stream) {
    if (dy.empty() || vocab == 0) { return; }
    with_element("embedding_backward", dy.dtype, [&](auto zero) {
        using T = decltype(zero);
        auto* const partials = static_cast<float*>(scratch);
        if (vocab > kFewTokens) {
            launch_many<T>(tokens, dy, vocab, dtable, scratch, stream);
        } else if (vocab <= kFewTokens / kQuad && in_quads(dy)) {
            launch_few<T, kQuad>(tokens, dy, vocab, dtable, partials, stream);
        } else {
            launch_few<T, 1>(tokens, dy, vocab, dtable, partials, stream);
        }
    });
}

} // namespace strandwave
