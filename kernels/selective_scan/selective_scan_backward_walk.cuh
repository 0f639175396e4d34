// The walk: the gradients of a run, tile by tile against the order of time, from h before each tile and the gradient of
// h behind the run. Four threads share two channels, four states each, and a warp has 16 channels. First through the
// tile in the order of time, where h before every kStepRows rows is kept in shared memory. Then kStepRows rows at a
// time against it: their h and decays once more, now into registers, and the gradients from their last row to their
// first. Sums over channels and over states are those of lanes, which exchange halves of what they have until each has
// one sum. So that they need not choose what to send, lanes hold their states, and their channels, in different orders.
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

/// kStates states of a group of channels, tile after tile. `kMany`: there are others.
template <class T, bool kVector, bool kMany>
class Walk {
public:
    __device__ __forceinline__ Walk(Params<T, kVector> const& p_, int group_, int n0_, WalkShared& s_, StateSums& many_)
        : p(p_), group(group_), n0(n0_), s(s_), many(many_) {
        map().template load<kVector>(p.A, p.d_inner, A);
        map().arrange(A);
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                A[k][i] *= kDecayFactor<kFast>;
            }
        }
    }

    /// The gradient behind a run, as it lies in memory: `arrange_gradient` waits for it.
    __device__ __forceinline__ void load_gradient(Run const& run, index_t link) {
        float const* const slot =
            p.d_final != nullptr && run.final >= 0 ? p.d_final + run.final * p.slot_size() : nullptr;
        map().template load<kVector>(run.goes_on ? p.of_link(p.behind, link, 0) : slot,
                                     run.goes_on ? p.padded : p.d_inner, carried);
    }
    /// The gradient between two tiles of many states.
    __device__ __forceinline__ void load_carried(index_t link) {
        map().template load<kVector>(p.of_link(p.carried, link, 0), p.padded, carried);
    }
    __device__ __forceinline__ void store_carried(index_t link) const {
        map().store(carried, p.of_link(p.carried, link, 0), p.padded, false);
    }
    __device__ __forceinline__ void arrange_gradient() { map().arrange(carried); }

    /// h before a tile.
    __device__ __forceinline__ void load_state(Run const& run, int tile) {
        bool const starts = tile == 0 && run.starts;
        float const* const slot =
            p.initial != nullptr && run.first.initial >= 0 ? p.initial + run.first.initial * p.slot_size() : nullptr;
        map().template load<kVector>(starts ? slot : p.states + p.before_tile(run.block + tile * kTileBlocks, 0),
                                     p.d_inner, h);
    }

    /// Leaves slots whose sums have all come.
    __device__ __forceinline__ void run(int rows) {
        int const steps = (rows + kStepRows - 1) / kStepRows;
        map().arrange(h);
        sweep(steps);
#pragma unroll 1
        for (int step = steps - 1; step >= 0; --step) {
            go_back(step);
        }
    }

    /// Of a tile, behind a __syncthreads.
    __device__ __forceinline__ void store_sums() const {
        Tile const& tile = s.tile;
        constexpr int kThreadsARow = 2 * kStates / kQuad;
        int const part = static_cast<int>(threadIdx.x) % kThreadsARow * kQuad;
        int const first = static_cast<int>(threadIdx.x) / kThreadsARow;
        float* to = p.sums_of(group, tile.block * kBlockRows + first, n0 / kStates) + part;
        index_t const step = static_cast<index_t>(kThreads / kThreadsARow) * p.state_groups * 2 * kStates;
#pragma unroll 1
        for (int row = first; row < tile.rows; row += kThreads / kThreadsARow, to += step) {
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
            strandwave::store<float, kQuad>(sum, to);
        }
    }

    /// Of the tiles so far. `add`: to those of tiles before.
    __device__ __forceinline__ void store_dA(index_t link, bool add) const {
        map().store(dA, p.parameter_sums_of(link, 0), p.padded, add);
    }

    /// What d_initial gets: of a segment of several runs only later, since d_final may be the same memory.
    __device__ __forceinline__ void store_initial(Run const& run, index_t link) const {
        if (!run.starts || p.d_initial == nullptr || run.first.initial < 0) { return; }
        map().store_existing(
            carried, run.goes_on ? p.of_link(p.behind, link, 0) : p.d_initial + run.first.initial * p.slot_size(),
            run.goes_on ? p.padded : p.d_inner);
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
    __device__ __forceinline__ void sweep(int steps) {
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

    __device__ __forceinline__ void go_back(int step) {
        Streams states[kStepRows + 1]; // [r]: before row r
        Streams decays[kStepRows];
#pragma unroll
        for (int k = 0; k < kPair; ++k) {
            load4(reinterpret_cast<float const*>(kept(step) + k * 32), states[0][k]);
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
                    states[r + 1][k][i] = fmaf(decays[r][k][i], states[r][k][i], x[k].y * B[i]);
                }
            }
        }
        __syncwarp(); // all have their h: sums take its place
        StepSlot& slot = s.slots[lane.warp][step];
        float later[3];
#pragma unroll
        for (int r = kStepRows - 1; r >= 0; --r) {
            float sums[3];
            float const state_sum = gradients(step * kStepRows + r, states[r], states[r + 1], decays[r], sums);
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
                                               Streams const& decays, float (&sums)[3]) {
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

    __device__ __forceinline__ StreamMap map() const { return StreamMap(p, lane, group, n0); }

    Params<T, kVector> const& p;
    int const group;
    int const n0;
    WalkShared& s;
    StateSums& many; ///< only if kMany
    Lane const lane;
    Streams A; ///< times kDecayFactor
    Streams dA = {};
    Streams h;       ///< of the sweep
    Streams carried; ///< the gradient of h between the last row and the one before it in time
};

} // namespace strandwave::scan_backward
