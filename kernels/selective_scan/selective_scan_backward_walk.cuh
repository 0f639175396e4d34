// The walk: one tile's gradients, from h before it and the gradient of h behind it.
// Four threads share two channels, four states each, and a warp has 16 channels. First through the tile in the order of
// time, where h before every kStepRows rows is kept in shared memory. Then kStepRows rows at a time against it: their h
// and decays once more, now into registers, and the gradients from their last row to their first. Sums over channels
// and over states are those of lanes, which exchange halves of what they have until each has one sum. So that they need
// not choose what to send, lanes hold their states, and their channels, in different orders.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_shared.cuh"

namespace strandwave::scan_backward {

/// The sum over the warp's channels that a lane ends up with.
__device__ __forceinline__ float add_channels(Lane const& lane, float (&dB)[kQuad], float (&dC)[kQuad]) {
#pragma unroll
    for (int i = 0; i < kQuad; i += 2) {
        dB[i] = add_other(dB[i], dB[i + 1], 4);
        dC[i] = add_other(dC[i], dC[i + 1], 4);
    }
    dB[0] = add_other(dB[0], dB[2], 8);
    dC[0] = add_other(dC[0], dC[2], 8);
    return add_other(lane.has_dC ? dC[0] : dB[0], lane.has_dC ? dB[0] : dC[0], 1);
}

__device__ __forceinline__ void gather(Lane const& lane, float const (&from)[kStates][kChannels], float factor,
                                       Streams& to) {
#pragma unroll
    for (int k = 0; k < kPair; ++k) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            to[k][i] = from[lane.state(i)][lane.channel(k)] * factor;
        }
    }
}

/// kStates states of one tile. `kMany`: there are others.
template <class T, bool kMany>
class Walk {
public:
    __device__ __forceinline__ Walk(Params<T> const& p_, Tile const& tile_, int group_, int n0_, WalkShared& s_,
                                    StateSums& many_)
        : p(p_), tile(tile_), group(group_), n0(n0_), s(s_), many(many_) {}

    /// Leaves dA in shared memory, and slots whose sums have all come.
    __device__ __forceinline__ void run() {
        Streams h, dA = {};
        gather(lane, s.parameters[0], kDecayFactor<kFast>, A);
        gather(lane, s.parameters[1], 1.0F, h);
        gather(lane, s.parameters[2], 1.0F, carried);
        __syncthreads(); // slots take the place of parameters
        int const steps = (tile.rows + kStepRows - 1) / kStepRows;
        sweep(steps, h);
#pragma unroll 1
        for (int step = steps - 1; step >= 0; --step) {
            go_back(step, dA);
        }
        store_initial();
        __syncthreads(); // all are through with B and C
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                s.sums.dA[lane.state(i)][lane.channel(k)] = dA[k][i];
            }
        }
    }

    /// Behind a __syncthreads. `first`: of the link's tiles.
    __device__ __forceinline__ void store_sums(bool first) const {
        int const threads_a_row = 2 * kStates / kQuad;
        int const part = static_cast<int>(threadIdx.x) % threads_a_row * kQuad;
        for (int row = static_cast<int>(threadIdx.x) / threads_a_row; row < tile.rows;
             row += kThreads / threads_a_row) {
            float sum[kQuad] = {};
#pragma unroll
            for (int warp = 0; warp < kWarps; ++warp) {
                float x[kQuad];
                load4(&s.slots[warp][row / kStepRows].states[row % kStepRows][part], x);
#pragma unroll
                for (int i = 0; i < kQuad; ++i) {
                    sum[i] += x[i];
                }
            }
            store<float, kQuad>(sum, p.sums_of(group, tile.block * kBlockRows + row, n0 / kStates) + part);
        }
#pragma unroll
        for (int k = 0; k < kMatrixShares; ++k) {
            MatrixShare const share(k);
            if (n0 + share.n >= p.d_state) { continue; }
            float* const to = p.before_of(tile.link(), n0 + share.n) + group * kChannels + share.channel;
            float sum[kQuad], before[kQuad] = {};
            load4(&s.sums.dA[share.n][share.channel], sum);
            if (!first) { load4(to, before); }
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                sum[i] += before[i];
            }
            store<float, kQuad>(sum, to);
        }
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;

    __device__ __forceinline__ void load_steps(int row, float2 (&steps)[kPair]) const {
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
            steps[k] = s.rows.steps[row][lane.channel(k)];
        }
    }

    __device__ __forceinline__ float4* kept(int step) const {
        return reinterpret_cast<float4*>(&s.slots[lane.warp][step]) + lane.lane;
    }

    /// Keeps h before each step.
    __device__ __forceinline__ void sweep(int steps, Streams& h) const {
#pragma unroll 1
        for (int step = 0;; ++step) {
#pragma unroll
            for (int k = 0; k < kPair; ++k) {
                kept(step)[k * 32] = {h[k][0], h[k][1], h[k][2], h[k][3]};
            }
            if (step + 1 == steps) { return; }
#pragma unroll
            for (int r = 0; r < kStepRows; ++r) {
                int const row = step * kStepRows + r;
                float2 x[kPair];
                float B[kQuad];
                load_steps(row, x);
                load4(&s.BC[row][0][lane.BC_offset()], B);
#pragma unroll
                for (int k = 0; k < kPair; ++k) {
#pragma unroll
                    for (int i = 0; i < kQuad; ++i) {
                        h[k][i] = fmaf(decay<kFast>(x[k].x * A[k][i]), h[k][i], x[k].y * B[i]);
                    }
                }
            }
        }
    }

    __device__ __forceinline__ void go_back(int step, Streams& dA) {
        Streams h[kStepRows + 1]; // h[r] before row r
        Streams decays[kStepRows];
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
            load4(reinterpret_cast<float const*>(kept(step) + k * 32), h[0][k]);
        }
#pragma unroll
        for (int r = 0; r < kStepRows; ++r) {
            int const row = step * kStepRows + r;
            float2 x[kPair];
            float B[kQuad];
            load_steps(row, x);
            load4(&s.BC[row][0][lane.BC_offset()], B);
#pragma unroll
            for (int k = 0; k < kPair; ++k) {
#pragma unroll
                for (int i = 0; i < kQuad; ++i) {
                    decays[r][k][i] = decay<kFast>(x[k].x * A[k][i]);
                    h[r + 1][k][i] = fmaf(decays[r][k][i], h[r][k][i], x[k].y * B[i]);
                }
            }
        }
        __syncwarp(); // all have their h: sums take its place
        StepSlot& slot = s.slots[lane.warp][step];
        float later[3];
#pragma unroll
        for (int r = kStepRows - 1; r >= 0; --r) {
            float sums[3];
            float const state_sum = gradients(step * kStepRows + r, h[r], h[r + 1], decays[r], dA, sums);
            slot.states[r][(lane.has_dC ? kStates : 0) + lane.state(0)] = state_sum;
            if (r % 2 != 0) {
                later[0] = sums[0];
                later[1] = sums[1];
                later[2] = sums[2];
            } else {
                add_states(step, r, sums, later, slot);
            }
        }
    }

    /// One row: carries the gradient over it and adds to dA. `sums`, of the lane's states and those of the lane that
    /// has the pair's channels in the other order: C h, A exp(dt A) h_before g and B g of its channel 0. Gives the sum
    /// over channels that this lane is to store.
    __device__ __forceinline__ float gradients(int row, Streams const& before, Streams const& behind,
                                               Streams const& decays, Streams& dA, float (&sums)[3]) {
        float2 x[kPair];
        float B[kQuad], C[kQuad], dB[kQuad], dC[kQuad];
        load_steps(row, x);
        load4(&s.BC[row][0][lane.BC_offset()], B);
        load4(&s.BC[row][1][lane.BC_offset()], C);
        float over_states[3][kPair];
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
            float const ds = s.rows.ds[row][lane.channel(k)];
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                float const g = fmaf(C[i], ds, carried[k][i]);
                carried[k][i] = decays[k][i] * g;
                float const through_decay = carried[k][i] * before[k][i];
                dA[k][i] = fmaf(x[k].x, through_decay, dA[k][i]);
                dB[i] = k == 0 ? g * x[k].y : fmaf(g, x[k].y, dB[i]);
                dC[i] = k == 0 ? behind[k][i] * ds : fmaf(behind[k][i], ds, dC[i]);
                over_states[0][k] = i == 0 ? C[i] * behind[k][i] : fmaf(C[i], behind[k][i], over_states[0][k]);
                over_states[1][k] = i == 0 ? A[k][i] * through_decay : fmaf(A[k][i], through_decay, over_states[1][k]);
                over_states[2][k] = i == 0 ? B[i] * g : fmaf(B[i], g, over_states[2][k]);
            }
        }
#pragma unroll
        for (int j = 0; j < 3; ++j) {
            sums[j] = add_other(over_states[j][0], over_states[j][1], 16);
        }
        return add_channels(lane, dB, dC);
    }

    /// Of two rows of a step, r and the next, each lane stores one.
    __device__ __forceinline__ void add_states(int step, int r, float const (&first)[3], float const (&later)[3],
                                               StepSlot& slot) {
        bool const mine_is_later = lane.later_row != 0;
        float sums[3];
#pragma unroll
        for (int j = 0; j < 3; ++j) {
            sums[j] = add_other(mine_is_later ? later[j] : first[j], mine_is_later ? first[j] : later[j], 2);
        }
        int const row = step * kStepRows + r + lane.later_row;
        if constexpr (kMany) {
#pragma unroll
            for (int j = 0; j < 3; ++j) {
                float& to = many.sums[j][row][lane.channel(0)];
                to = n0 == 0 ? sums[j] : to + sums[j];
            }
        } else {
            __syncwarp(); // all have read these rows' dt u
            slot.y[r + lane.later_row][lane.warp_channel(0)] = sums[0];
            slot.A[r + lane.later_row][lane.warp_channel(0)] = sums[1];
            s.rows.steps[row][lane.channel(0)].y = sums[2];
        }
    }

    /// What d_initial gets: of a segment of several tiles only later, since d_final may be the same memory.
    __device__ __forceinline__ void store_initial() const {
        if (!tile.starts || p.d_initial == nullptr || tile.first.initial < 0) { return; }
        float* const to = tile.goes_on ? p.behind_of(tile.link(), 0) : p.d_initial + tile.first.initial * p.slot_size();
        index_t const stride = tile.goes_on ? p.padded : p.d_inner;
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
            int const e = group * kChannels + lane.channel(k);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                int const n = n0 + lane.state(i);
                if (e < p.d_inner && n < p.d_state) { to[n * stride + e] = carried[k][i]; }
            }
        }
    }

    Params<T> const& p;
    Tile const& tile;
    int const group;
    int const n0;
    WalkShared& s;
    StateSums& many; ///< only if kMany
    Lane const lane;
    Streams A;       ///< times kDecayFactor
    Streams carried; ///< the gradient of h between the last row and the one before it in time
};

} // namespace strandwave::scan_backward
