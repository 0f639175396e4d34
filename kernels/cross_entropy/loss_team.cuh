// A team of threads of one thread block works on one row of a loss; what it and the sums over rows need.
#pragma once

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cuda/element.cuh"
#include "lib/cuda/stream.h"

#include <algorithm>
#include <cfloat>
#include <climits>

namespace strandwave::device {

inline constexpr index_t kLossBlocks = 1024; ///< thread blocks of a loss, at most: fixed, and so the order of sums
inline constexpr int kWarp = 32;
inline constexpr int kWarps = static_cast<int>(kThreads) / kWarp;

/// Values of a row so far: their largest, where it is first, and the sum of exp(value - largest).
struct RowStats {
    float largest = -FLT_MAX;
    float sum = 0.0F;
    int place = INT_MAX;

    __device__ void take(float value, int at) {
        if (value > largest) {
            sum *= expf(largest - value);
            largest = value;
            place = at;
        }
        sum += expf(value - largest);
    }

    /// The same bits whichever of the two comes first.
    __device__ static RowStats merged(RowStats const& a, RowStats const& b) {
        RowStats both;
        both.largest = fmaxf(a.largest, b.largest);
        both.sum = a.sum * expf(a.largest - both.largest) + b.sum * expf(b.largest - both.largest);
        both.place = a.largest == b.largest ? min(a.place, b.place) : a.largest > b.largest ? a.place : b.place;
        return both;
    }
};

__device__ inline RowStats exchange(RowStats const& mine, unsigned mask, int distance) {
    RowStats other;
    other.largest = __shfl_xor_sync(mask, mine.largest, distance);
    other.sum = __shfl_xor_sync(mask, mine.sum, distance);
    other.place = __shfl_xor_sync(mask, mine.place, distance);
    return other;
}
__device__ inline float exchange(float mine, unsigned mask, int distance) {
    return __shfl_xor_sync(mask, mine, distance);
}
__device__ inline double exchange(double mine, unsigned mask, int distance) {
    return __shfl_xor_sync(mask, mine, distance);
}

struct Plus {
    template <class T>
    __device__ T operator()(T a, T b) const {
        return a + b;
    }
};
struct Merge {
    __device__ RowStats operator()(RowStats const& a, RowStats const& b) const { return RowStats::merged(a, b); }
};

/// `Size` neighbouring threads: a part of a warp, or the whole thread block.
template <int Size>
struct Team {
    static_assert(Size <= kWarp || Size == kThreads);
    static constexpr int kSize = Size;
    static constexpr int kTeams = static_cast<int>(kThreads) / Size; ///< in a thread block

    __device__ static int rank() { return static_cast<int>(threadIdx.x) % Size; }
    __device__ static int index() { return static_cast<int>(threadIdx.x) / Size; }

    /// The values of all threads of the team put together, in all of them. All threads of the team call it.
    template <class T, class Combine>
    __device__ static T all(T value, Combine const& combine) {
        constexpr int kLanes = Size < kWarp ? Size : kWarp;
        unsigned const lane = threadIdx.x % kWarp;
        unsigned const mask =
            kLanes == kWarp ? 0xffffffffU : ((1U << (kLanes % kWarp)) - 1U) << (lane / kLanes * kLanes);
#pragma unroll
        for (int distance = kLanes / 2; distance > 0; distance /= 2) {
            value = combine(value, exchange(value, mask, distance));
        }
        if constexpr (Size > kWarp) {
            alignas(16) __shared__ char storage[kWarps * sizeof(T)];
            auto* parts = reinterpret_cast<T*>(storage);
            __syncthreads(); // the parts of the call before are read
            if (lane == 0) { parts[threadIdx.x / kWarp] = value; }
            __syncthreads();
            value = parts[0];
            for (int warp = 1; warp < kWarps; ++warp) {
                value = combine(value, parts[warp]);
            }
        }
        return value;
    }
};

/// Adds up what the first threads of the teams hold, in order, and writes it for this thread block.
template <class T>
__device__ void write_block_sums(LossSums const& mine, LossSums* blocks) {
    __shared__ double parts[T::kTeams][3];
    if (T::rank() == 0) {
        parts[T::index()][0] = mine.loss;
        parts[T::index()][1] = mine.correct;
        parts[T::index()][2] = mine.count;
    }
    __syncthreads();
    if (threadIdx.x != 0) { return; }
    double total[3] = {};
    for (int team = 0; team < T::kTeams; ++team) {
        for (int i = 0; i < 3; ++i) {
            total[i] += parts[team][i];
        }
    }
    blocks[blockIdx.x].loss = total[0];
    blocks[blockIdx.x].correct = total[1];
    blocks[blockIdx.x].count = total[2];
}

/// Calls `call` with the team size for so many values a row (as a Team) and the thread blocks for so many rows.
template <class Call>
void with_team(index_t rows, index_t cols, Call const& call) {
    auto const run = [&](auto team) {
        constexpr index_t kTeams = decltype(team)::kTeams;
        call(team, static_cast<unsigned>(std::min(kLossBlocks, (rows + kTeams - 1) / kTeams)));
    };
    if (cols <= 32) { return run(Team<8>{}); }
    if (cols <= 2048) { return run(Team<kWarp>{}); }
    run(Team<static_cast<int>(kThreads)>{});
}

} // namespace strandwave::device

namespace strandwave {

/// *sums = the sum of what the first `count` thread blocks wrote.
void add_loss_blocks(LossSums const* blocks, index_t count, LossSums* sums, GpuStream stream);

/// What losses read is f32 and has columns, but not more than an int counts. Throws unsupported, shape_mismatch.
void check_loss_logits(char const* op, DeviceMatrix const& logits);

} // namespace strandwave
