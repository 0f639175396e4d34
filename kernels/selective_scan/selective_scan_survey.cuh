// What each full tile does to a state that comes in.
#pragma once

#include "kernels/selective_scan/selective_scan_stage.cuh"

namespace strandwave::scan {

/// Says what the link's full tile is, and whether it needs a survey.
template <class T>
__device__ __forceinline__ bool find_surveyed(Params<T> const& p, Tile& tile) {
    index_t const link = link_of_cta(p);
    Tiles tiles(p.blocks, p.block_count, link);
    bool found = false;
    while (!found && tiles.next(tile)) {
        found = tile.surveyed();
    }
    if (blockIdx.y == 0 && blockIdx.x % static_cast<unsigned int>(p.groups) == 0 && threadIdx.x == 0) {
        p.links[link] = {!found         ? kNoTile
                         : !tile.starts ? kGoesOn
                                        : max(tile.first.initial, kFromZero),
                         found && !tile.goes_on ? tile.final : -1};
    }
    return found;
}

/// For states blockIdx.y * kStates .. .
template <class F, bool kDtIsReady>
__global__ void __launch_bounds__(kThreads, F::kCtas) survey_tiles(Params<typename F::T> const p) {
    using T = typename F::T;
    constexpr bool kFast = sizeof(T) == 2;
    __shared__ Shared<F> s;
    Tile tile;
    if (!find_surveyed(p, tile)) { return; }
    Place<F> const place(p);
    int const n0 = static_cast<int>(blockIdx.y) * kStates;
    float A[F::kLaneStates];
    load_A(p, place, n0, A);
    float const bias = Channel<T>(p, place.e).bias;
    float bt[F::kLaneStates] = {};
    float dt_sum = 0.0F;
    bool const staged = states_are_staged(p, n0);
    auto const start = [&](int first, Stage<F>& stage) {
        stage_channels(p, place, tile, first, p.u, p.u_stride, stage.u[place.warp]);
        stage_channels(p, place, tile, first, p.delta, p.delta_stride, stage.delta[place.warp]);
        if (staged) { stage_states(p, tile, first, n0, stage); }
    };
    auto const step = [&](float dt, float dt_u, int k) {
#pragma unroll
        for (int n = 0; n < F::kLaneStates; n += kQuad) {
            float B[kQuad];
            load4(&s.BC[k][place.first_state() + n], B);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                bt[n + i] = fmaf(device::exp2_of<kFast>(dt * A[n + i]), bt[n + i], dt_u * B[i]);
            }
        }
    };
    start(0, s.stages[0]);
#pragma unroll 1
    for (int first = 0; first < kScanTileRows; first += F::kRows) {
        Stage<F>& here = s.stages[first / F::kRows % 2];
        wait_for_copies();
        __syncthreads(); // all have come, and all are through with the rows before
        if (first + F::kRows < kScanTileRows) { start(first + F::kRows, s.stages[first / F::kRows % 2 ^ 1]); }
        prepare_states(p, tile, first, n0, staged ? &here : static_cast<Stage<F> const*>(nullptr), s);
        __syncthreads();
        float part_sum = 0.0F;
#pragma unroll 1
        for (int k0 = 0; k0 < F::kRows; k0 += F::kUnrolled) {
            float dt[F::kLaneRows], dt_u[F::kLaneRows];
#pragma unroll
            for (int i = 0; i < F::kLaneRows; ++i) {
                int const k = k0 + i * F::kLanes + place.part;
                dt[i] = dt_of<T, kDtIsReady>(here.delta[place.warp][k][place.channel], bias);
                dt_u[i] = dt[i] * device::to_float(here.u[place.warp][k][place.channel]);
            }
#pragma unroll
            for (int i = 0; i < F::kUnrolled; ++i) {
                float const row_dt = of_part(place, dt[i / F::kLanes], i % F::kLanes);
                part_sum += row_dt;
                step(row_dt, of_part(place, dt_u[i / F::kLanes], i % F::kLanes), k0 + i);
            }
            if ((k0 + F::kUnrolled) % kSummedRows<T> == 0) {
                dt_sum += part_sum;
                part_sum = 0.0F;
            }
        }
    }
    if (!place.exists) { return; }
    index_t const link = tile.link();
    if (n0 == 0 && place.part == 0) { p.dt_sums[link * p.d_inner + place.e] = dt_sum; }
#pragma unroll
    for (int i = 0; i < F::kLaneStates; ++i) {
        int const n = n0 + place.first_state() + i;
        if (n < p.d_state) { p.after[link * p.slot_size() + static_cast<index_t>(n) * p.d_inner + place.e] = bt[i]; }
    }
}

} // namespace strandwave::scan
