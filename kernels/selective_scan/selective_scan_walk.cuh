// The recurrence itself and y, each tile from the state before it.
#pragma once

#include "kernels/selective_scan/selective_scan_stage.cuh"

#include <type_traits>

namespace strandwave::scan {

/// What the tile that a segment's walk is in does to any state, h -> exp(A sum of dt) h + bt, as the survey has it: so
/// that the next tile starts from the bits that the chain would give.
template <class F>
struct TileEffect {
    float before[F::kLaneStates]; ///< h before the tile
    float bt[F::kLaneStates];
    float dt_sum;
    float part_sum; ///< of kSummedRows rows

    __device__ __forceinline__ void begin(float const (&h)[F::kLaneStates]) {
#pragma unroll
        for (int i = 0; i < F::kLaneStates; ++i) {
            before[i] = h[i];
            bt[i] = 0.0F;
        }
        dt_sum = 0.0F;
        part_sum = 0.0F;
    }

    __device__ __forceinline__ void end_of_summed_rows() {
        static_assert(!F::kSegments || F::kUnrolled == kSummedRows<typename F::T>, "it is called once in so many rows");
        dt_sum += part_sum;
        part_sum = 0.0F;
    }

    /// h of the chain takes the place of that of the walk.
    __device__ __forceinline__ void end(float const (&A)[F::kLaneStates], float (&h)[F::kLaneStates]) const {
#pragma unroll
        for (int i = 0; i < F::kLaneStates; ++i) {
            h[i] = fmaf(device::exp2_of<sizeof(typename F::T) == 2>(dt_sum * A[i]), before[i], bt[i]);
        }
    }
};

/// This thread's states of one channel through a tile, or a segment. What rows end with is known when this is compiled:
/// without branches between them, the compiler starts a row while the one before it is under way.
template <class F, bool kGated, bool kAccumulate, bool kDtIsReady>
class Walk {
    using T = typename F::T;
    using States = float[F::kLaneStates];

public:
    __device__ __forceinline__ Walk(Params<T> const& p_, Tile const& tile_, Place<F> const& place_, Shared<F>& s_)
        : p(p_), tile(tile_), place(place_), s(s_), channel(p_, place_.e) {}

    /// d_state <= kStates: states, and A, stay in registers.
    __device__ __forceinline__ void few_states(States const& A) {
        States h;
        load_initial(0, h);
        if (F::kSegments) { effect.begin(h); }
        bool const staged = states_are_staged(p, 0);
        start(0, s.stages[0], staged);
        int odd = 0;
#pragma unroll 1
        for (int first = 0; first < tile.rows; first += F::kRows, odd ^= 1) {
            Stage<F>& here = s.stages[odd];
            if (F::kSegments && first > 0 && first % kScanTileRows == 0) {
                effect.end(A, h);
                effect.begin(h);
            }
            keep(first, 0, h);
            wait_for_copies();
            __syncthreads(); // all have come, and all are through with the rows before
            if (first + F::kRows < tile.rows) { start(first + F::kRows, s.stages[odd ^ 1], staged); }
            prepare_states(p, tile, first, 0, staged ? &here : static_cast<Stage<F> const*>(nullptr), s);
            __syncthreads();
            int const count = min(F::kRows, tile.rows - first);
#pragma unroll 1
            for (int k0 = 0; k0 < count; k0 += F::kUnrolled) {
                Row rows[F::kLaneRows];
                read_rows(first, k0, count, here, rows);
#pragma unroll
                for (int i = 0; i < F::kLaneRows; ++i) {
                    rows[i].sum = step(rows[i], k0 + i * F::kLanes, A, h);
                    if (!kFinishesLate) { finish_row(rows[i], here, k0 + i * F::kLanes + place.part); }
                }
                if (F::kSegments) { effect.end_of_summed_rows(); }
#pragma unroll
                for (int i = 0; i < F::kLaneRows && kFinishesLate; ++i) {
                    finish_row(rows[i], here, k0 + i * F::kLanes + place.part);
                }
            }
            __syncwarp();
            store_channels(p, place, tile, first, here.z[place.warp]);
            __syncwarp();
        }
        if (F::kSegments && tile.rows % kScanTileRows == 0) { effect.end(A, h); }
        store_final(0, h);
    }

    /// The states of many are fetched from `states`, kStates at a time, for a few rows.
    __device__ __forceinline__ void many_states(float (&states)[kMaxState]) {
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            load_initial(n0, reinterpret_cast<States&>(states[n0]));
        }
        Stage<F>& here = s.stages[0];
#pragma unroll 1
        for (int first = 0; first < tile.rows; first += F::kRows) {
            for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
                keep(first, n0, reinterpret_cast<States&>(states[n0]));
            }
            start(first, here, false);
            wait_for_copies();
            __syncwarp();
            int const count = min(F::kRows, tile.rows - first);
            for (int k0 = 0; k0 < count; k0 += F::kUnrolled) {
                few_rows(first, k0, count, here, states);
            }
            __syncwarp();
            store_channels(p, place, tile, first, here.z[place.warp]);
            __syncwarp();
        }
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            store_final(n0, reinterpret_cast<States&>(states[n0]));
        }
    }

private:
    static constexpr bool kFast = sizeof(T) == 2;
    /// Whether all rows are walked before y of any is stored: no load waits for a store then, but it takes registers.
    static constexpr bool kFinishesLate = F::kLanes > 1;

    struct Row {
        float dt;
        float dt_u;
        float u;
        float sum;    ///< of C h
        float before; ///< what y is added to; read early, since nothing hides a load at the end of a row
    };

    __device__ __forceinline__ void start(int first, Stage<F>& stage, bool with_states) {
        stage_channels(p, place, tile, first, p.u, p.u_stride, stage.u[place.warp]);
        stage_channels(p, place, tile, first, p.delta, p.delta_stride, stage.delta[place.warp]);
        if (kGated) { stage_channels(p, place, tile, first, p.z, p.z_stride, stage.z[place.warp]); }
        if (with_states) { stage_states(p, tile, first, 0, stage); }
    }

    /// Those of the rows k0 .. that are this thread's.
    __device__ __forceinline__ void read_rows(int first, int k0, int count, Stage<F> const& stage,
                                              Row (&rows)[F::kLaneRows]) const {
#pragma unroll
        for (int i = 0; i < F::kLaneRows; ++i) {
            int const k = k0 + i * F::kLanes + place.part;
            rows[i] = read_row(first, stage, k, k < count);
        }
    }

    /// A row that does not exist leaves the states as they are: B is 0 there, and h + -0 is h even where h is -0.
    __device__ __forceinline__ Row read_row(int first, Stage<F> const& stage, int k, bool exists) const {
        float const u = device::to_float(stage.u[place.warp][k][place.channel]);
        float const dt = dt_of<T, kDtIsReady>(stage.delta[place.warp][k][place.channel], channel.bias);
        float before = 0.0F;
        if (kAccumulate && exists) { before = device::to_float(p.y[tile.row(first + k) * p.y_stride + place.e]); }
        return {exists ? dt : 0.0F, exists ? dt * u : -0.0F, u, 0.0F, before};
    }

    /// Row k, or, where lanes share a channel, the rows k .. of which each has read one. Gives the sum of C h over all
    /// states of this thread's row.
    __device__ __forceinline__ float step(Row const& row, int k, States const& A, States& h) {
        float sums[F::kLanes];
#pragma unroll
        for (int j = 0; j < F::kLanes; ++j) {
            float const dt = of_part(place, row.dt, j);
            if (F::kSegments) { effect.part_sum += dt; }
            sums[j] = step_states(dt, of_part(place, row.dt_u, j), k + j, A, h);
        }
        if constexpr (F::kLanes == 1) {
            return sums[0];
        } else {
            return sum_of_parts(place, sums);
        }
    }

    /// One row. Gives the sum of C h over this thread's states: of quads, so that it is the same whoever holds them.
    __device__ __forceinline__ float step_states(float dt, float dt_u, int k, States const& A, States& h) {
        float sums[F::kLaneStates / kQuad];
#pragma unroll
        for (int n = 0; n < F::kLaneStates; n += kQuad) {
            float B[kQuad], C[kQuad];
            load4(&s.BC[k][place.first_state() + n], B);
            load4(&s.BC[k][kStates + place.first_state() + n], C);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                float const decay = device::exp2_of<kFast>(dt * A[n + i]);
                float const Bx = dt_u * B[i];
                h[n + i] = fmaf(decay, h[n + i], Bx);
                if (F::kSegments) { effect.bt[n + i] = fmaf(decay, effect.bt[n + i], Bx); }
                sums[n / kQuad] = i == 0 ? C[i] * h[n + i] : fmaf(C[i], h[n + i], sums[n / kQuad]);
            }
        }
        if constexpr (F::kLanes == 1) {
            return (sums[0] + sums[1]) + (sums[2] + sums[3]);
        } else {
            return sums[0];
        }
    }

    /// Skip and gate; y takes the place of z.
    __device__ __forceinline__ void finish_row(Row const& row, Stage<F>& stage, int k) {
        T& z = stage.z[place.warp][k][place.channel];
        float y = fmaf(channel.skip, row.u, row.sum);
        if (kGated) { y *= device::silu<kFast>(device::to_float(z)); }
        if (kAccumulate) { y += row.before; }
        z = device::from_float<T>(y);
    }

    __device__ __forceinline__ void few_rows(int first, int k0, int count, Stage<F>& stage,
                                             float (&states)[kMaxState]) {
        Row rows[F::kLaneRows];
        read_rows(first, k0, count, stage, rows);
#pragma unroll 1
        for (int n0 = 0; n0 < p.d_state; n0 += kStates) {
            __syncthreads(); // all are through with the states before
            prepare_states(p, tile, first, n0, static_cast<Stage<F> const*>(nullptr), s);
            __syncthreads();
            States A, h;
            load_A(p, place, n0, A);
#pragma unroll
            for (int n = 0; n < F::kLaneStates; ++n) {
                h[n] = states[n0 + n];
            }
#pragma unroll
            for (int i = 0; i < F::kLaneRows; ++i) {
                rows[i].sum += step(rows[i], k0 + i, A, h);
            }
#pragma unroll
            for (int n = 0; n < F::kLaneStates; ++n) {
                states[n0 + n] = h[n];
            }
        }
#pragma unroll
        for (int i = 0; i < F::kLaneRows; ++i) {
            finish_row(rows[i], stage, k0 + i);
        }
    }

    /// State 0 of this channel in what holds the states before the tile and, if it is not full, takes those behind it.
    /// Null: zeros, and nobody wants them.
    __device__ __forceinline__ float* kept(int slot) const {
        if (!tile.starts) { return p.after + (tile.link() - 1) * p.slot_size() + place.e; }
        return slot >= 0 && p.state != nullptr ? p.state + slot * p.slot_size() + place.e : nullptr;
    }

    __device__ __forceinline__ void load_initial(int n0, States& h) const {
        float const* const from = kept(tile.first.initial);
#pragma unroll
        for (int i = 0; i < F::kLaneStates; ++i) {
            int const n = n0 + place.first_state() + i;
            bool const stored = from != nullptr && n < p.d_state;
            h[i] = stored ? from[static_cast<index_t>(n) * p.d_inner] : 0.0F;
        }
    }

    __device__ __forceinline__ void store(float* to, int n0, States const& h) const {
#pragma unroll
        for (int i = 0; i < F::kLaneStates; ++i) {
            int const n = n0 + place.first_state() + i;
            if (n < p.d_state) { to[static_cast<index_t>(n) * p.d_inner] = h[i]; }
        }
    }

    /// For a backward pass.
    __device__ __forceinline__ void keep(int first, int n0, States const& h) const {
        static_assert(kScanTileRows % kScanStateRows == 0 && kScanStateRows % F::kRows == 0);
        bool const starts = tile.starts && first == 0;
        if (p.kept_states == nullptr || first % kScanStateRows != 0 || starts || !place.exists) { return; }
        index_t const at = (tile.block * kBlockRows + first) / kScanStateRows;
        store(p.kept_states + at * p.slot_size() + place.e, n0, h);
    }

    /// A full tile's comes from the chain, so that a record in pieces gets the same bits.
    __device__ __forceinline__ void store_final(int n0, States const& h) const {
        bool const of_chain = !F::kSegments && tile.full();
        if (of_chain || tile.final < 0 || !place.exists) { return; }
        float* const to = kept(tile.final);
        if (to == nullptr) { return; }
        store(to, n0, h);
        if (!tile.starts && place.first_e + place.lane == 0 && n0 == 0) { p.links[tile.link() - 1].final = tile.final; }
    }

    Params<T> const& p;
    Tile const& tile;
    Place<F> const& place;
    Shared<F>& s;
    Channel<T> const channel;
    TileEffect<F> effect; ///< if F::kSegments
};

template <class F, bool kGated, bool kAccumulate, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads, F::kCtas) walk_tiles(Params<typename F::T> const p) {
    __shared__ Shared<F> s;
    Place<F> const place(p);
    float A[F::kLaneStates];
    load_A(p, place, 0, A);
    std::conditional_t<F::kSegments, Segments, Tiles> tiles(p.blocks, p.block_count, link_of_cta(p));
    Tile tile;
    while (tiles.next(tile)) {
        Walk<F, kGated, kAccumulate, kDtIsReady>(p, tile, place, s).few_states(A);
    }
}

template <class T, bool kGated, bool kAccumulate, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads) walk_many_states(Params<T> const p) {
    using F = Wide<T>;
    __shared__ Shared<F> s;
    Place<F> const place(p);
    Tiles tiles(p.blocks, p.block_count, link_of_cta(p));
    Tile tile;
    float states[kMaxState];
    while (tiles.next(tile)) {
        Walk<F, kGated, kAccumulate, kDtIsReady>(p, tile, place, s).many_states(states);
    }
}

} // namespace strandwave::scan
