// What the walk of a tile has in shared memory, which lane has what of it, and how it gets there.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_rows.cuh"

namespace strandwave::scan_backward {

constexpr int kStepRows = 4;
constexpr int kSteps = kTileRows / kStepRows;
constexpr int kWarps = kThreads / 32;
constexpr int kWarpChannels = kChannels / kWarps;
constexpr int kPair = 2;     ///< channels of a thread
constexpr int kVersions = 4; ///< orders of a thread's states
static_assert(kWarpChannels == 16 && kStates == 16, "32 lanes of kPair channels and kQuad states");

/// Of a thread: [channel][state].
using Streams = float[kPair][kQuad];

/// First h before these rows, later their sums.
struct StepSlot {
    float states[kStepRows][2 * kStates]; ///< over the channels of the warp: for dB, then for dC
    float y[kStepRows][kWarpChannels];    ///< C h over the states
    float A[kStepRows][kWarpChannels];    ///< A exp(dt A) h_before g over the states
};
static_assert(sizeof(StepSlot) == kPair * kQuad * 32 * sizeof(float));

/// Where there are more than kStates states, sums over states grow in here.
struct StateSums {
    float sums[3][kTileRows][kChannels]; ///< C h, A exp(dt A) h_before g, B g
};

struct WalkShared {
    Rows rows;                                               ///< dt u gives way to the sum of B g
    alignas(16) float BC[kTileRows][2][kVersions * kStates]; ///< all versions, see Lane::offset
    alignas(16) StepSlot slots[kWarps][kSteps];
    alignas(16) float channels[kWarps][2][kChannels]; ///< sums over the rows of all tiles for dD and ddelta_bias
    Tile tile;                                        ///< no registers are left for it
    Run run;                                          ///< nor for it
};

/// What a lane has: bit 0 tells whether it ends up with a sum for dB or for dC, bits 1 and 4 which states, bits 0, 2
/// and 3 which channels, bits 2 and 3 also the order of states, bit 4 that of channels. In this order neighbours read
/// the same B and C, and lanes two apart the same channels, which halves the cost of both.
struct Lane {
    int lane, warp;
    int quad;    ///< of states
    int version; ///< state i of the quad is at i ^ version
    int pair;    ///< of the warp's channels
    int swapped; ///< channel k of the pair is at k ^ swapped
    bool has_dC;
    int later_row; ///< of two rows: which one's sums over states it ends up with

    __device__ __forceinline__ Lane()
        : lane(static_cast<int>(threadIdx.x) % 32), warp(static_cast<int>(threadIdx.x) / 32),
          quad((lane >> 1 & 1) | (lane >> 3 & 2)), version(lane >> 2 & 3), pair((lane & 1) | version << 1),
          swapped(lane >> 4), has_dC((lane & 1) != 0), later_row(lane >> 1 & 1) {}

    __device__ __forceinline__ int state(int i) const { return quad * kQuad + (i ^ version); }
    __device__ __forceinline__ int warp_channel(int k) const { return pair * kPair + (k ^ swapped); }
    __device__ __forceinline__ int channel(int k) const { return warp * kWarpChannels + warp_channel(k); }
    /// Of its version of its states in a row of BC.
    __device__ __forceinline__ int BC_offset() const { return offset(quad, version); }
    __device__ __forceinline__ static int offset(int quad, int version) {
        return (quad >> 1) * 2 * kStates + version * 2 * kQuad + (quad & 1) * kQuad;
    }
};

__device__ __forceinline__ float add_other(float mine, float others, int lanes_apart) {
    return mine + __shfl_xor_sync(~0U, others, lanes_apart);
}

/// A lane's states and channels in a matrix [states, stride].
class StreamMap {
public:
    template <class T, bool kVector>
    __device__ __forceinline__ StreamMap(Params<T, kVector> const& p, Lane const& lane_, int group, int n0_)
        : lane(lane_), n0(n0_), d_state(p.d_state),
          e(group * kChannels + lane_.warp * kWarpChannels + lane_.pair * kPair), count(p.d_inner - e) {}

    /// Null: zeros. What is not there is 0 too. Channels are in order yet: `arrange` waits for them.
    template <bool kVector>
    __device__ __forceinline__ void load(float const* from, index_t stride, Streams& to) const {
        int const here = from != nullptr ? count : 0;
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            int const n = n0 + lane.state(i);
            int const channels = n < d_state ? here : 0;
            float const* const at = from + n * stride + e;
            float2 x{0.0F, 0.0F};
            if constexpr (kVector) {
                if (channels > 0) { x = *reinterpret_cast<float2 const*>(at); }
            } else {
                if (channels > 0) { x.x = at[0]; }
                if (channels > 1) { x.y = at[1]; }
            }
            to[0][i] = x.x;
            to[1][i] = x.y;
        }
    }

    __device__ __forceinline__ void arrange(Streams& streams) const {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            float const x = streams[0][i];
            streams[0][i] = lane.swapped != 0 ? streams[1][i] : x;
            streams[1][i] = lane.swapped != 0 ? x : streams[1][i];
        }
    }

    /// `to` has whole groups of channels. `add`: to what is there.
    __device__ __forceinline__ void store(Streams const& from, float* to, index_t stride, bool add) const {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            int const n = n0 + lane.state(i);
            if (n >= d_state) { continue; }
            auto* const at = reinterpret_cast<float2*>(to + n * stride + e);
            float2 const before = add ? *at : float2{0.0F, 0.0F};
            *at = {before.x + (lane.swapped != 0 ? from[1][i] : from[0][i]),
                   before.y + (lane.swapped != 0 ? from[0][i] : from[1][i])};
        }
    }

    /// Where there may be fewer channels.
    __device__ __forceinline__ void store_existing(Streams const& from, float* to, index_t stride) const {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            int const n = n0 + lane.state(i);
            if (n >= d_state) { continue; }
            float* const at = to + n * stride + e;
            if (count > 0) { at[0] = lane.swapped != 0 ? from[1][i] : from[0][i]; }
            if (count > 1) { at[1] = lane.swapped != 0 ? from[0][i] : from[1][i]; }
        }
    }

private:
    Lane const& lane;
    int n0;
    int d_state;
    int e;     ///< of the lane's first channel in order
    int count; ///< channels from there on
};

/// What a thread brings of B and C for kStates states of a tile, on its way to shared memory.
template <class T, bool kVector>
class States {
public:
    __device__ __forceinline__ States(Params<T, kVector> const& p, Tile const& tile, int n0)
        : row(static_cast<int>(threadIdx.x) / (2 * kQuads)), is_C(static_cast<int>(threadIdx.x) / kQuads % 2 != 0),
          quad(static_cast<int>(threadIdx.x) % kQuads) {
        load_states(p, is_C ? p.C : p.B, tile, row, kStep, n0 + quad * kQuad, BC);
    }

    __device__ __forceinline__ void store_to(WalkShared& s) const {
#pragma unroll
        for (int k = 0; k < kShares; ++k) {
            float const(&x)[kQuad] = BC[k];
#pragma unroll
            for (int version = 0; version < kVersions; ++version) {
                float const ordered[kQuad] = {x[version], x[1 ^ version], x[2 ^ version], x[3 ^ version]};
                store<float, kQuad>(ordered, &s.BC[row + k * kStep][is_C ? 1 : 0][Lane::offset(quad, version)]);
            }
        }
    }

private:
    static constexpr int kQuads = kStates / kQuad;
    static constexpr int kStep = kThreads / (2 * kQuads); ///< rows
    static constexpr int kShares = kTileRows / kStep;
    int row; ///< the first of its kShares rows
    bool is_C;
    int quad;
    float BC[kShares][kQuad];
};

} // namespace strandwave::scan_backward
