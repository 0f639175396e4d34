// How the threads of a CTA share channels, states and rows.
#pragma once

#include "kernels/selective_scan/selective_scan_tile.cuh"

namespace strandwave::scan {

/// Rows whose dt are summed by themselves: sums of sums lose less.
template <class T>
constexpr int kSummedRows = 32 / static_cast<int>(sizeof(T));

/// How threads share the work. `kLanes` of a warp share a channel, each with so many of its states: 1, or 4 where that
/// leaves too few CTAs. What no lane can do for its states alone (dt, the gate) they do for different rows. A CTA takes
/// a tile, or, where segments are many, a whole segment.
template <class Element, int kLanesOfAChannel, bool kTakesSegments = false>
struct Form {
    using T = Element;
    static constexpr int kLanes = kLanesOfAChannel;
    static constexpr bool kSegments = kTakesSegments;
    static constexpr int kChannels = 32 / kLanes;        ///< of a warp
    static constexpr int kGroup = kWarps * kChannels;    ///< channels of a CTA
    static constexpr int kLaneStates = kStates / kLanes; ///< of a thread
    /// Rows whose dt and gate a thread does, one after the other or at a distance of kLanes.
    static constexpr int kLaneRows = kLanes == 1 ? 4 : kSummedRows<T> / kLanes;
    /// Rows that are walked without a branch: the more, the less a lonely warp waits for the first and the last of
    /// them.
    static constexpr int kUnrolled = kLanes * kLaneRows;
    /// Rows that are staged together: the next ones are on their way for as long as these take, which is not long in
    /// a quarter of the time.
    static constexpr int kRows = kSummedRows<T> * (kLanes == 1 ? 1 : 2);
    /// Of an SM: with more, fewer registers are left for rows that overlap.
    static constexpr int kCtas = kLanes == 1 ? 6 : 5;
    static_assert(kLaneStates % kQuad == 0 && kRows % kSummedRows<T> == 0 && kSummedRows<T> % kUnrolled == 0);
};

template <class T>
using Wide = Form<T, 1>; ///< ScanForm::tiles
template <class T>
using Narrow = Form<T, 4>; ///< ScanForm::tile_lanes
template <class T>
using Whole = Form<T, 4, true>; ///< ScanForm::segments

/// Where a thread of the CTA stands. Threads behind the last channel repeat it and write nothing.
template <class F>
struct Place {
    int warp;
    int lane;
    int channel; ///< of the warp's
    int part;    ///< of the channel's states, and of rows: neighbouring lanes have one part, and load the same B and C
    int first_e; ///< of the warp; may lie behind the last channel
    int e;
    bool exists;

    __device__ __forceinline__ explicit Place(Params<typename F::T> const& p)
        : warp(static_cast<int>(threadIdx.x) / 32), lane(static_cast<int>(threadIdx.x) % 32),
          channel(lane % F::kChannels), part(lane / F::kChannels),
          first_e(static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups)) * F::kGroup + warp * F::kChannels),
          e(min(first_e + channel, p.d_inner - 1)), exists(first_e + channel < p.d_inner) {}

    /// First of this thread's states.
    __device__ __forceinline__ int first_state() const { return part * F::kLaneStates; }
};

/// `value` of the lane that has that part of this lane's channel. For whole warps.
template <class F>
__device__ __forceinline__ float of_part(Place<F> const& place, float value, int part) {
    if constexpr (F::kLanes == 1) { return value; }
    return __shfl_sync(~0U, value, part * F::kChannels + place.channel);
}

/// (a0 + a1) + (a2 + a3) of what the four lanes of a channel have in values[i]: lane i gets that. Each step halves what
/// a lane has left to add up. For whole warps.
template <class F>
__device__ __forceinline__ float sum_of_parts(Place<F> const& place, float const (&values)[4]) {
    static_assert(F::kLanes == 4);
    bool const odd = place.part % 2 == 1;
    float pairs[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        float const sent = odd ? values[2 * i] : values[2 * i + 1];
        pairs[i] = (odd ? values[2 * i + 1] : values[2 * i]) + __shfl_xor_sync(~0U, sent, F::kChannels);
    }
    bool const second = place.part >= 2;
    float const sent = second ? pairs[0] : pairs[1];
    return (second ? pairs[1] : pairs[0]) + __shfl_xor_sync(~0U, sent, 2 * F::kChannels);
}

/// Of this thread's states, times log2(e).
template <class F>
__device__ __forceinline__ void load_A(Params<typename F::T> const& p, Place<F> const& place, int n0,
                                       float (&A)[F::kLaneStates]) {
#pragma unroll
    for (int i = 0; i < F::kLaneStates; ++i) {
        int const n = n0 + place.first_state() + i;
        A[i] = n < p.d_state ? p.A[static_cast<index_t>(n) * p.d_inner + place.e] * device::kLog2E : 0.0F;
    }
}

/// A channel's parameters.
template <class T>
struct Channel {
    float bias;
    float skip;
    __device__ __forceinline__ Channel(Params<T> const& p, int e)
        : bias(p.delta_bias != nullptr ? p.delta_bias[e] : 0.0F), skip(p.D[e]) {}
};

/// The step size that an element of delta stands for. `kDtIsReady`: the element itself.
template <class T, bool kDtIsReady>
__device__ __forceinline__ float dt_of(T delta, float bias) {
    if constexpr (kDtIsReady) { return device::to_float(delta); }
    return device::softplus<sizeof(T) == 2>(device::to_float(delta) + bias);
}

} // namespace strandwave::scan
