// What the walk of a tile has in shared memory, which lane has what of it, and how it gets there.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_tile.cuh"

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

/// Of parameters, over a tile's rows.
struct ParameterSums {
    alignas(16) float dA[kStates][kChannels];
    alignas(16) float channels[kWarps][2][kChannels]; ///< for dD and ddelta_bias
};

struct WalkShared {
    Rows rows; ///< dt u gives way to the sum of B g
    union {
        alignas(16) float BC[kTileRows][2][kVersions * kStates]; ///< all versions, see Lane::offset
        ParameterSums sums;                                      ///< once all are through with B and C
    };
    union {
        alignas(16) StepSlot slots[kWarps][kSteps];
        alignas(16) float parameters[3][kStates][kChannels]; ///< A, h before the tile, the gradient behind it
    };
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

/// A thread's part of a matrix [kStates][kChannels] that the CTA goes through row by row.
struct MatrixShare {
    int n;
    int channel;

    __device__ __forceinline__ explicit MatrixShare(int k)
        : n(k * kRowsAtOnce + static_cast<int>(threadIdx.x) / kQuadsARow),
          channel(static_cast<int>(threadIdx.x) % kQuadsARow * kQuad) {}
};
constexpr int kMatrixShares = kStates / kRowsAtOnce;

/// What a thread brings for kStates states of a tile, on its way to shared memory.
template <class T>
class States {
public:
    __device__ __forceinline__ States(Params<T> const& p, Tile const& tile, int group, int n0) {
        index_t const link = tile.link();
        auto const slot = [&](float const* slots, int i) {
            return slots != nullptr && i >= 0 ? slots + i * p.slot_size() : nullptr;
        };
        load_matrix(p, p.A, p.d_inner, n0, group, matrices[0]);
        load_matrix(p, tile.starts ? slot(p.initial, tile.first.initial) : p.before_of(link, 0),
                    tile.starts ? p.d_inner : p.padded, n0, group, matrices[1]);
        load_matrix(p, tile.goes_on ? p.behind_of(link, 0) : slot(p.d_final, tile.final),
                    tile.goes_on ? p.padded : p.d_inner, n0, group, matrices[2]);
#pragma unroll
        for (int k = 0; k < kShares; ++k) {
            Place const place(k);
            load_states(p, place.is_C ? p.C : p.B, tile, place.row, n0 + place.quad * kQuad, BC[k]);
        }
    }

    __device__ __forceinline__ void store_to(WalkShared& s) const {
#pragma unroll
        for (int i = 0; i < 3; ++i) {
#pragma unroll
            for (int k = 0; k < kMatrixShares; ++k) {
                MatrixShare const share(k);
                *reinterpret_cast<float4*>(&s.parameters[i][share.n][share.channel]) = matrices[i][k];
            }
        }
#pragma unroll
        for (int k = 0; k < kShares; ++k) {
            Place const place(k);
            float const(&x)[kQuad] = BC[k];
#pragma unroll
            for (int version = 0; version < kVersions; ++version) {
                float const ordered[kQuad] = {x[version], x[1 ^ version], x[2 ^ version], x[3 ^ version]};
                store<float, kQuad>(ordered, &s.BC[place.row][place.is_C ? 1 : 0][Lane::offset(place.quad, version)]);
            }
        }
    }

private:
    static constexpr int kQuads = kStates / kQuad;
    static constexpr int kShares = kTileRows * 2 * kQuads / kThreads;

    /// Of B and C.
    struct Place {
        int row;
        bool is_C;
        int quad;
        __device__ __forceinline__ explicit Place(int k)
            : row((k * kThreads + static_cast<int>(threadIdx.x)) / (2 * kQuads)),
              is_C(static_cast<int>(threadIdx.x) / kQuads % 2 != 0), quad(static_cast<int>(threadIdx.x) % kQuads) {}
    };

    /// The states n0 .. of `from`, [states, stride]; null: zeros.
    __device__ __forceinline__ static void load_matrix(Params<T> const& p, float const* from, index_t stride, int n0,
                                                       int group, float4 (&to)[kMatrixShares]) {
#pragma unroll
        for (int k = 0; k < kMatrixShares; ++k) {
            MatrixShare const share(k);
            int const e = group * kChannels + share.channel;
            bool const exists = from != nullptr && n0 + share.n < p.d_state;
            int const count = exists ? min(max(p.d_inner - e, 0), kQuad) : 0;
            float const* const at = from + (n0 + share.n) * stride + e;
            to[k] = p.vector_parameters ? load_quad<true>(at, count) : load_quad<false>(at, count);
        }
    }

    float4 matrices[3][kMatrixShares];
    float BC[kShares][kQuad];
};

} // namespace strandwave::scan_backward
