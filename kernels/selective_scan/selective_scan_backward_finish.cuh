// The kernel that walks tiles, and what it does once the sums over all states are there.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_walk.cuh"

namespace strandwave::scan_backward {

/// What needs the sums over all states, for a tile's rows: du, ddelta, dz, y and the sums for dD and ddelta_bias.
template <class T, bool kVector, bool kMany>
class Finish {
public:
    __device__ __forceinline__ Finish(Params<T, kVector> const& p_, Tile const& tile_, int group, WalkShared& s_,
                                      StateSums const& many_)
        : p(p_), tile(tile_), share(p_, group), s(s_), many(many_), du(p_.du, tile_, share),
          ddelta(p_.ddelta, tile_, share), dz(p_.dz, tile_, share), y(p_.y, tile_, share) {}

    /// Adds to the sums of each warp in shared memory.
    __device__ __forceinline__ void run() {
        load_parameters<kVector>(p.D, share, D);
        load_parameters<kVector>(p.delta_is_dt ? nullptr : p.delta_bias, share, bias);
        InputReader<T, kVector> const reader(p, tile, share, !p.delta_is_dt, true);
        Inputs<T> next;
        reader.read(share.row, next);
        int const rows = tile.rows;
#pragma unroll 1
        for (int row = share.row; row < rows; row += kRowsAtOnce) {
            InputValues in(next);
            reader.read(row + kRowsAtOnce, next);
            if (share.count > 0) { finish_row(row, in); }
        }
        add_to_channels(0, sum_D);
        add_to_channels(1, sum_bias);
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;

    __device__ __forceinline__ void add_to_channels(int which, float (&sum)[kQuad]) const {
        static_assert(kRowsAtOnce / kWarps == 2);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            sum[i] = add_other(sum[i], sum[i], 16);
        }
        if (threadIdx.x % 32 >= kQuadsARow) { return; }
        float* const to = &s.channels[threadIdx.x / 32][which][share.channel];
        float before[kQuad];
        load4(to, before);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            sum[i] += before[i];
        }
        store<float, kQuad>(sum, to);
    }

    __device__ __forceinline__ void finish_row(int row, InputValues& in) {
        float dt[kQuad], ds[kQuad], Ch[kQuad], Ag[kQuad], Bg[kQuad];
        read_sums(row, dt, ds, Ch, Ag, Bg);
        float u_gradient[kQuad];
        float(&slope)[kQuad] = in.delta;
        slopes(dt, slope);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            u_gradient[i] = fmaf(D[i], ds[i], dt[i] * Bg[i]);
            slope[i] *= fmaf(Bg[i], in.u[i], Ag[i] * kAgFactor);
            sum_D[i] = fmaf(ds[i], in.u[i], sum_D[i]);
            sum_bias[i] += slope[i];
            Ch[i] = fmaf(D[i], in.u[i], Ch[i]);
        }
        store_quad<kVector>(u_gradient, du.at(row), share.count);
        store_quad<kVector>(slope, ddelta.at(row), share.count);
        if (p.z.exists()) { store_gate(in, Ch, dz.at(row)); }
        if (p.y.exists()) { add_quad(Ch, y.at(row)); }
    }

    /// From delta to the derivative of its softplus.
    __device__ __forceinline__ void slopes(float const (&dt)[kQuad], float (&delta)[kQuad]) const {
        if (p.delta_is_dt) {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                delta[i] = slope_at<kFast>(dt[i]);
            }
        } else {
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                delta[i] = sigmoid<kFast>(delta[i] + bias[i]);
            }
        }
    }

    /// dz, and y from before the gate to behind it.
    __device__ __forceinline__ void store_gate(InputValues& in, float (&values)[kQuad], T* to) const {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            float const gate = sigmoid<kFast>(in.z[i]);
            in.dy[i] *= values[i] * (gate * fmaf(in.z[i], 1.0F - gate, 1.0F));
            values[i] *= in.z[i] * gate;
        }
        add_quad(in.dy, to);
    }

    /// To what is there, if that is wanted.
    __device__ __forceinline__ void add_quad(float (&values)[kQuad], T* to) const {
        if (p.accumulate_gate) {
            float before[kQuad];
            unpack(load_quad<kVector>(to, share.count), before);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                values[i] += before[i];
            }
        }
        store_quad<kVector>(values, to, share.count);
    }

    /// `row`: share.row and a multiple of kRowsAtOnce, so that it has that one's place in its step.
    __device__ __forceinline__ void read_sums(int row, float (&dt)[kQuad], float (&ds)[kQuad], float (&Ch)[kQuad],
                                              float (&Ag)[kQuad], float (&Bg)[kQuad]) const {
        int const c = share.channel;
        auto const* const steps = reinterpret_cast<float4 const*>(&s.rows.steps[row][c]);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float4 const two = steps[i];
            dt[2 * i] = two.x;
            Bg[2 * i] = two.y;
            dt[2 * i + 1] = two.z;
            Bg[2 * i + 1] = two.w;
        }
        load4(&s.rows.ds[row][c], ds);
        if constexpr (kMany) {
            load4(&many.sums[0][row][c], Ch);
            load4(&many.sums[1][row][c], Ag);
            load4(&many.sums[2][row][c], Bg);
            return;
        }
        static_assert(kRowsAtOnce % kStepRows == 0);
        StepSlot const* const slot = &s.slots[c / kWarpChannels][0] + static_cast<unsigned int>(row) / kStepRows;
        load4(&slot->y[share.row % kStepRows][c % kWarpChannels], Ch);
        load4(&slot->A[share.row % kStepRows][c % kWarpChannels], Ag);
    }

    static constexpr float kAgFactor = kFast ? 0.693147182F : 1.0F; ///< 1 / kDecayFactor
    Params<T, kVector> const& p;
    Tile const& tile;
    Share const share;
    WalkShared& s;
    StateSums const& many;
    Column<T> du, ddelta, dz, y;
    float D[kQuad], bias[kQuad];
    float sum_D[kQuad] = {};
    float sum_bias[kQuad] = {};
};

/// The sums of rows d_state and d_state + 1 of `parameter_sums`.
template <class T, bool kVector>
__device__ __forceinline__ void store_channel_sums(Params<T, kVector> const& p, index_t link, int group,
                                                   WalkShared const& s) {
    static_assert(kThreads == 2 * kChannels);
    int const which = static_cast<int>(threadIdx.x) / kChannels;
    int const channel = static_cast<int>(threadIdx.x) % kChannels;
    float sum = 0.0F;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) {
        sum += s.channels[warp][which][channel];
    }
    p.parameter_sums_of(link, p.d_state + which)[group * kChannels + channel] = sum;
}

template <bool kMany>
struct WalkMemory {
    WalkShared shared;
    StateSums many;
};
template <>
struct WalkMemory<false> {
    union {
        WalkShared shared;
        StateSums many; ///< not used
    };
};
extern __shared__ float4 walk_memory[];

/// For all, behind a __syncthreads.
__device__ __forceinline__ void keep(Tile const& tile, WalkShared& s) {
    if (threadIdx.x == 0) { s.tile = tile; }
}

/// kStates of more states, of tile i of a run.
template <class T, bool kVector>
__device__ __forceinline__ void walk_states(Params<T, kVector> const& p, Run const& run, int i, int group, int n0,
                                            index_t link, bool first, WalkMemory<true>& memory) {
    WalkShared& s = memory.shared;
    Tile const tile = run.tile(i);
    Walk<T, kVector, true> walk(p, group, n0, s, memory.many);
    walk.load_state(run, i);
    if (i + 1 == run.tiles()) {
        walk.load_gradient(run, link);
    } else {
        walk.load_carried(link);
    }
    States<T, kVector> const states(p, tile, n0);
    if (n0 == 0) { prepare_rows<1, true>(p, tile, group, s.rows); }
    states.store_to(s);
    __syncthreads();
    walk.arrange_gradient();
    walk.run(tile.rows);
    if (i == 0) {
        walk.store_initial(run, link);
    } else {
        walk.store_carried(link);
    }
    __syncthreads();
    walk.store_sums();
    walk.store_dA(link, !first);
}

template <class T, bool kVector>
__device__ __forceinline__ bool walk_link(Params<T, kVector> const& p, index_t link, int group,
                                          WalkMemory<true>& memory) {
    bool first = true;
    RunFinder runs(p, link);
    for (Run found; runs.next(found);) {
        Run const& run = share_run(found, memory.shared.run);
#pragma unroll 1
        for (int i = run.tiles() - 1; i >= 0; --i, first = false) {
            if (!first) { __syncthreads(); } // all are through with the tile before
            keep(run.tile(i), memory.shared);
#pragma unroll 1
            for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
                walk_states(p, run, i, group, n0, link, first, memory);
            }
            Finish<T, kVector, true>(p, memory.shared.tile, group, memory.shared, memory.many).run();
        }
    }
    return !first;
}

template <class T, bool kVector>
__device__ __forceinline__ bool walk_link(Params<T, kVector> const& p, index_t link, int group,
                                          WalkMemory<false>& memory) {
    WalkShared& s = memory.shared;
    Walk<T, kVector, false> walk(p, group, 0, s, memory.many);
    bool first = true;
    RunFinder runs(p, link);
#pragma unroll 1
    for (Run found; runs.next(found);) {
        Run const& run = share_run(found, s.run);
        walk.load_gradient(run, link);
        walk.arrange_gradient();
#pragma unroll 1
        for (int i = run.tiles() - 1; i >= 0; --i, first = false) {
            if (!first) { __syncthreads(); } // all are through with the tile before
            Tile const tile = run.tile(i);
            walk.load_state(run, i);
            States<T, kVector> const states(p, tile, 0);
            prepare_rows<sizeof(T) == 2 ? 4 : 1, true>(p, tile, group, s.rows);
            states.store_to(s);
            keep(tile, s);
            __syncthreads();
            if (i > 0) {
                prefetch_rows<true>(p, run.tile(i - 1), group);
                if (i > 1 || !run.starts) { prefetch_states(p, run.block + (i - 1) * kTileBlocks, group); }
            }
            walk.run(tile.rows);
            __syncthreads();
            walk.store_sums();
            Finish<T, kVector, false>(p, s.tile, group, s, memory.many).run();
        }
        walk.store_initial(run, link);
    }
    if (!first) { walk.store_dA(link, false); }
    return !first;
}

/// `kMany`: more than kStates states. A CTA walks the runs of a link.
template <class T, bool kVector, bool kMany>
__global__ void __launch_bounds__(kThreads, kMany ? 2 : 3) walk_runs(Params<T, kVector> const p) {
    auto& memory = *reinterpret_cast<WalkMemory<kMany>*>(walk_memory);
    index_t const link = blockIdx.x / static_cast<unsigned int>(p.groups);
    int const group = static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups));
    auto* const channels = &memory.shared.channels[0][0][0];
    for (int k = static_cast<int>(threadIdx.x); k < kWarps * 2 * kChannels; k += kThreads) {
        channels[k] = 0.0F;
    }
    bool const any = walk_link(p, link, group, memory);
    __syncthreads();
    store_channel_sums(p, link, group, memory.shared);
    if (any) { return; }
#pragma unroll 1
    for (int k = static_cast<int>(threadIdx.x); k < p.d_state * kChannels; k += kThreads) {
        p.parameter_sums_of(link, k / kChannels)[group * kChannels + k % kChannels] = 0.0F;
    }
}

} // namespace strandwave::scan_backward
