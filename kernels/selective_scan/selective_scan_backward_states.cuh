// h before each tile, where the forward pass has not kept it.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_survey.cuh"

namespace strandwave::scan_backward {

/// h before each tile that does not start its segment, from h before the run.
template <class T, bool kVector>
__device__ __forceinline__ void store_tile_states(Params<T, kVector> const& p, Run const& run, index_t link, int group,
                                                  int n0, SurveyPlace const& place, float const (&A)[kSurveyStates],
                                                  SurveyShared& s) {
    float h[kSurveyStates];
    bool const from_slot = run.starts && run.first.initial >= 0 && p.initial != nullptr;
    float const* const from = !run.starts ? p.of_link(p.before, link, 0)
                              : from_slot ? p.initial + run.first.initial * p.slot_size()
                                          : nullptr;
    load_channel(p, place, n0, from, run.starts ? p.d_inner : p.padded, h);
    for (int i = 0;; ++i) {
        Tile const tile = run.tile(i);
        if (i > 0 || !run.starts) {
            float* const to = p.new_states + p.before_tile(tile.block, n0 + place.n) + place.e;
            if (place.e < p.d_inner) { store_states(h, p.d_state - n0 - place.n, to, p.d_inner); }
        }
        if (i + 1 == run.tiles()) { return; }
        __syncthreads(); // all are through with the tile before
        prepare_rows<kStatesAhead<T>, false>(p, tile, group, s.rows);
        prepare_states(p, tile, n0, s);
        __syncthreads();
        if (i + 2 < run.tiles()) { prefetch_rows<false>(p, run.tile(i + 1), group); }
#pragma unroll 4
        for (int row = 0; row < kTileRows; ++row) {
            float2 const step = s.rows.steps[row][place.channel];
#pragma unroll
            for (int n = 0; n < kSurveyStates; n += kQuad) {
                float B[kQuad];
                load4(&s.BC[row][place.n + n], B);
#pragma unroll
                for (int k = 0; k < kQuad; ++k) {
                    h[n + k] = fmaf(decay<sizeof(T) == 2>(step.x * A[n + k]), h[n + k], step.y * B[k]);
                }
            }
        }
    }
}

/// For the states blockIdx.y * kStates .. of the runs of a link.
template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads, kSurveyCtas<T>) store_states_of_tiles(Params<T, kVector> const p) {
    __shared__ SurveyShared s;
    index_t const link = blockIdx.x / static_cast<unsigned int>(p.groups);
    int const group = static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups));
    int const n0 = static_cast<int>(blockIdx.y) * kStates;
    SurveyPlace const place(group);
    float A[kSurveyStates];
    load_decay_rates(p, place, n0, A);
    RunFinder runs(p, link);
#pragma unroll 1
    for (Run found; runs.next(found);) {
        Run const& run = share_run(found, s.run);
        if (run.starts && run.tiles() == 1) { continue; }
        store_tile_states(p, run, link, group, n0, place, A, s);
    }
}

} // namespace strandwave::scan_backward
