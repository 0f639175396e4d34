// The states and gradients that go from run to run: what each run does to them, and the chains of runs.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_rows.cuh"

namespace strandwave::scan_backward {

constexpr int kSurveyStates = 8; ///< of a thread; two threads share a channel
template <class T>
constexpr int kSurveyCtas = sizeof(T) == 2 ? 5 : 4; ///< of a multiprocessor
constexpr int kSurveyAhead = 1;                     ///< rows
template <class T>
constexpr int kStatesAhead = sizeof(T) == 2 ? 4 : 2; ///< rows

struct SurveyShared {
    Rows rows;
    alignas(16) float BC[kTileRows][2 * kStates];
    Run run; ///< the one that is under way
};

/// Of the two threads of a channel one takes the first half of the states.
struct SurveyPlace {
    int channel; ///< of the CTA
    int e;
    int n; ///< first state of the CTA's

    __device__ __forceinline__ explicit SurveyPlace(int group)
        : channel(static_cast<int>(threadIdx.x) % kChannels), e(group * kChannels + channel),
          n(static_cast<int>(threadIdx.x) / kChannels * kSurveyStates) {}
};

/// What a run does to any state h that comes in, h -> exp(A sum of dt) h + h_sum, and to any gradient g that comes
/// from behind, g -> exp(A sum of dt) g + g_sum, both in one walk in the order of time: with `product` that of the
/// exponentials so far, g_sum is the sum of product C ds.
struct Effect {
    float h[kSurveyStates];
    float g[kSurveyStates];
    float product[kSurveyStates];
    float dt_sum = 0.0F;

    __device__ __forceinline__ Effect() {
#pragma unroll
        for (int i = 0; i < kSurveyStates; ++i) {
            h[i] = 0.0F;
            g[i] = 0.0F;
            product[i] = 1.0F;
        }
    }
};

template <bool kFast>
__device__ __forceinline__ void survey_rows(SurveyShared const& s, SurveyPlace const& place, int rows,
                                            float const (&A)[kSurveyStates], Effect& effect) {
    float dt_sum = 0.0F; // sums of sums lose less
#pragma unroll 2
    for (int row = 0; row < rows; ++row) {
        float2 const step = s.rows.steps[row][place.channel];
        float const ds = s.rows.ds[row][place.channel];
        dt_sum += step.x;
#pragma unroll
        for (int n = 0; n < kSurveyStates; n += kQuad) {
            float B[kQuad], C[kQuad];
            load4(&s.BC[row][place.n + n], B);
            load4(&s.BC[row][kStates + place.n + n], C);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                float const a = decay<kFast>(step.x * A[n + i]);
                effect.h[n + i] = fmaf(a, effect.h[n + i], step.y * B[i]);
                effect.product[n + i] *= a;
                effect.g[n + i] = fmaf(effect.product[n + i], C[i] * ds, effect.g[n + i]);
            }
        }
    }
    effect.dt_sum += dt_sum;
}

/// The same for gradients alone, against the order of time.
template <bool kFast>
__device__ __forceinline__ void survey_gradients(SurveyShared const& s, SurveyPlace const& place,
                                                 float const (&A)[kSurveyStates], Effect& effect) {
    float dt_sum = 0.0F;
#pragma unroll 4
    for (int row = kTileRows - 1; row >= 0; --row) {
        float const dt = s.rows.steps[row][place.channel].x;
        float const ds = s.rows.ds[row][place.channel];
        dt_sum += dt;
#pragma unroll
        for (int n = 0; n < kSurveyStates; n += kQuad) {
            float C[kQuad];
            load4(&s.BC[row][kStates + place.n + n], C);
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                effect.g[n + i] = decay<kFast>(dt * A[n + i]) * fmaf(C[i], ds, effect.g[n + i]);
            }
        }
    }
    effect.dt_sum += dt_sum;
}

__device__ __forceinline__ void store_states(float const (&states)[kSurveyStates], int count, float* to,
                                             index_t stride) {
#pragma unroll
    for (int i = 0; i < kSurveyStates; ++i, to += stride) {
        if (i < count) { *to = states[i]; }
    }
}

template <bool kBoth, class T, bool kVector>
__device__ __forceinline__ void store_effect(Params<T, kVector> const& p, Run const& run, index_t link,
                                             SurveyPlace const& place, int n0, Effect const& effect) {
    if (place.e >= p.d_inner) { return; }
    if (n0 + place.n == 0) {
        index_t const at = link * p.padded + place.e;
        if (kBoth && run.goes_on) { p.dt_sums[at] = effect.dt_sum; }
        if (!run.starts) { p.dt_sums[p.link_count * p.padded + at] = effect.dt_sum; }
    }
    int const count = p.d_state - n0 - place.n;
    if (kBoth && run.goes_on) {
        store_states(effect.h, count, p.of_link(p.before, link, n0 + place.n) + place.e, p.padded);
    }
    if (!run.starts) { store_states(effect.g, count, p.of_link(p.behind, link, n0 + place.n) + place.e, p.padded); }
}

template <class T, bool kVector>
__device__ __forceinline__ void prepare_states(Params<T, kVector> const& p, Tile const& tile, int n0, SurveyShared& s) {
    constexpr int kPartsARow = 2 * kStates / kQuad;
    constexpr int kStep = kThreads / kPartsARow;
    int const row = static_cast<int>(threadIdx.x) / kPartsARow;
    int const part = static_cast<int>(threadIdx.x) % kPartsARow * kQuad;
    float values[kTileRows / kStep][kQuad];
    load_states(p, part < kStates ? p.B : p.C, tile, row, kStep, n0 + part % kStates, values);
#pragma unroll
    for (int k = 0; k < kTileRows / kStep; ++k) {
        store<float, kQuad>(values[k], &s.BC[row + k * kStep][part]);
    }
}

/// Those of a channel; zeros for what is not there.
template <class T, bool kVector>
__device__ __forceinline__ void load_channel(Params<T, kVector> const& p, SurveyPlace const& place, int n0,
                                             float const* matrix, index_t stride, float (&to)[kSurveyStates]) {
    float const* at = matrix + static_cast<index_t>(n0 + place.n) * stride + place.e;
    int const count = matrix != nullptr && place.e < p.d_inner ? p.d_state - n0 - place.n : 0;
#pragma unroll
    for (int i = 0; i < kSurveyStates; ++i, at += stride) {
        to[i] = i < count ? *at : 0.0F;
    }
}

template <class T, bool kVector>
__device__ __forceinline__ void load_decay_rates(Params<T, kVector> const& p, SurveyPlace const& place, int n0,
                                                 float (&A)[kSurveyStates]) {
    load_channel(p, place, n0, p.A, p.d_inner, A);
#pragma unroll
    for (int i = 0; i < kSurveyStates; ++i) {
        A[i] *= kDecayFactor<sizeof(T) == 2>;
    }
}

/// For the states blockIdx.y * kStates .. of the runs of a link. `kBoth`: h too.
template <class T, bool kVector, bool kBoth>
__global__ void __launch_bounds__(kThreads, kSurveyCtas<T>) survey_runs(Params<T, kVector> const p) {
    __shared__ SurveyShared s;
    index_t const link = blockIdx.x / static_cast<unsigned int>(p.groups);
    int const group = static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups));
    int const n0 = static_cast<int>(blockIdx.y) * kStates;
    SurveyPlace const place(group);
    float A[kSurveyStates];
    load_decay_rates(p, place, n0, A);
    Link described{kNoRun, kNoRun};
    RunFinder runs(p, link);
#pragma unroll 1
    for (Run found; runs.next(found);) {
        Run const& run = share_run(found, s.run);
        if (run.goes_on) { described.from = run.starts ? max(run.first.initial, -1) + 1 : kGoesOn; }
        if (!run.starts) { described.final = run.goes_on ? kGoesOn : max(run.final, -1) + 1; }
        if (run.starts && (!kBoth || !run.goes_on)) { continue; }
        Effect effect;
        int const count = run.tiles();
#pragma unroll 1
        for (int k = 0; k < count; ++k) {
            Tile const tile = run.tile(kBoth ? k : count - 1 - k);
            __syncthreads(); // all are through with the tile before
            prepare_rows<kSurveyAhead, true>(p, tile, group, s.rows);
            prepare_states(p, tile, n0, s);
            __syncthreads();
            if (k + 1 < count) { prefetch_rows<true>(p, run.tile(kBoth ? k + 1 : count - 2 - k), group); }
            if constexpr (kBoth) {
                survey_rows<sizeof(T) == 2>(s, place, tile.rows, A, effect);
            } else {
                survey_gradients<sizeof(T) == 2>(s, place, A, effect);
            }
        }
        store_effect<kBoth>(p, run, link, place, n0, effect);
    }
    if (blockIdx.y == 0 && group == 0 && threadIdx.x == 0) { p.links[link] = described; }
}

constexpr int kChainThreads = 64;
constexpr int kChainBatch = 32; ///< links that are read together

/// Goes through links in the order of time with h, or against it with the gradient. In both arrays of states what a
/// run does gives way to what comes in.
struct Chain {
    Link const* links;
    index_t link_count;
    float const* A;       ///< of this state and channel
    float* states;        ///< of this state and channel, and of link 0
    index_t states_step;  ///< from link to link
    float const* dt_sums; ///< of this channel, and of link 0
    index_t dt_sums_step;
    float const* slots; ///< null: zeros
    index_t slot_size;
    index_t element; ///< of a slot

    /// No record goes on from the link before to this one.
    __device__ __forceinline__ bool cut_at(index_t link) const {
        return link == link_count || links[link].final == kNoRun;
    }
};

/// What a thread reads of neighbouring links. Each lane has the code of one.
struct ChainBatch {
    int code;
    float dt_sum[kChainBatch];
    float effect[kChainBatch];

    template <bool kForward>
    __device__ __forceinline__ void read(Chain const& chain, index_t first) {
        static_assert(kChainBatch == 32);
        auto const clamped = [&](int i) {
            return min(max(kForward ? first + i : first - i, index_t{0}), chain.link_count - 1);
        };
        Link const& link = chain.links[clamped(static_cast<int>(threadIdx.x % 32))];
        code = kForward ? link.from : link.final;
        bool const inside = kForward ? first + kChainBatch <= chain.link_count : first + 1 >= kChainBatch;
        if (inside) {
            index_t const at = first * chain.states_step;
            index_t const step = kForward ? chain.states_step : -chain.states_step;
            index_t const dt_step = kForward ? chain.dt_sums_step : -chain.dt_sums_step;
            float const* dt_from = chain.dt_sums + first * chain.dt_sums_step;
            float const* from = chain.states + at;
#pragma unroll
            for (int i = 0; i < kChainBatch; ++i, from += step, dt_from += dt_step) {
                dt_sum[i] = *dt_from;
                effect[i] = *from;
            }
            return;
        }
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i) {
            dt_sum[i] = chain.dt_sums[clamped(i) * chain.dt_sums_step];
            effect[i] = chain.states[clamped(i) * chain.states_step];
        }
    }
};

/// From `first` to the end of the record that is under way at the last of this CTA's links. All lanes of a warp come
/// along; those whose state does not exist write nothing.
template <bool kFast, bool kForward>
__device__ __forceinline__ void follow(Chain const& chain, index_t first, index_t begin, index_t end, bool exists) {
    float const A = *chain.A * kDecayFactor<kFast>;
    bool const leaves = !chain.cut_at(kForward ? end : begin); // a record goes on to the next CTA's links
    index_t const step = kForward ? chain.states_step : -chain.states_step;
    float carried = 0.0F;
    bool was_cut = false;
    ChainBatch next;
    next.read<kForward>(chain, first);
    for (index_t at = first;; at += kForward ? kChainBatch : -kChainBatch) {
        if (!leaves && (kForward ? at >= end : at < begin)) { return; }
        ChainBatch const here = next;
        index_t const next_at = kForward ? at + kChainBatch : at - kChainBatch;
        if (leaves || (kForward ? next_at < end : next_at >= begin)) { next.read<kForward>(chain, next_at); }
        bool const inside = kForward ? at + kChainBatch <= chain.link_count : at + 1 >= kChainBatch && !was_cut;
        bool const all_go_on = __all_sync(~0U, inside && here.code == kGoesOn);
        float* to = chain.states + at * chain.states_step;
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i, to += step) {
            float const factor = decay<kFast>(here.dt_sum[i] * A);
            if (!all_go_on) {
                int const code = __shfl_sync(~0U, here.code, i);
                index_t const link = kForward ? at + i : at - i;
                bool const over = kForward ? link >= chain.link_count || (link >= end && chain.cut_at(link))
                                           : link < 0 || (link < begin && was_cut);
                if (over) { return; }
                was_cut = code == kNoRun; // of links against the order of time
                if (exists) { *to = carried; }
                if (code == kNoRun) { continue; }
                if (code != kGoesOn) {
                    bool const stored = code > 0 && chain.slots != nullptr && exists;
                    carried = stored ? chain.slots[(code - 1) * chain.slot_size + chain.element] : 0.0F;
                }
            } else if (exists) {
                *to = carried;
            }
            carried = fmaf(factor, carried, here.effect[i]);
        }
    }
}

/// A thread for each state and channel; blockIdx.y: where chains are looked for; blockIdx.z: the gradient or h. A chain
/// begins where no record goes on from the link before, so that records are chained at the same time.
template <class T, bool kVector>
__global__ void __launch_bounds__(kChainThreads) chain_runs(Params<T, kVector> const p) {
    __shared__ int nearest;
    bool const forward = blockIdx.z == 1;
    index_t const begin = static_cast<index_t>(blockIdx.y) * p.chain_links;
    index_t const end = min(begin + p.chain_links, p.link_count);
    index_t const element = static_cast<index_t>(blockIdx.x) * kChainThreads + threadIdx.x;
    bool const exists = element / p.padded < p.d_state && element % p.padded < p.d_inner;
    int const n = exists ? static_cast<int>(element / p.padded) : 0;
    int const e = exists ? static_cast<int>(element % p.padded) : 0;
    index_t const in_slot = static_cast<index_t>(n) * p.d_inner + e;
    float* const states = forward ? p.before : p.behind;
    Chain const chain{p.links,
                      p.link_count,
                      p.A + in_slot,
                      states + n * static_cast<index_t>(p.padded) + e,
                      static_cast<index_t>(p.d_state) * p.padded,
                      p.dt_sums + (forward ? 0 : p.link_count * p.padded) + e,
                      p.padded,
                      forward ? p.initial : p.d_final,
                      p.slot_size(),
                      in_slot};
    if (threadIdx.x == 0) { nearest = p.chain_links; }
    __syncthreads();
    for (int i = static_cast<int>(threadIdx.x); i < static_cast<int>(end - begin); i += kChainThreads) {
        if (chain.cut_at(forward ? begin + i : end - i)) {
            atomicMin(&nearest, i);
            break;
        }
    }
    __syncthreads();
    if (nearest == p.chain_links) { return; }
    forward ? follow<sizeof(T) == 2, true>(chain, begin + nearest, begin, end, exists)
            : follow<sizeof(T) == 2, false>(chain, end - nearest - 1, begin, end, exists);
}

} // namespace strandwave::scan_backward
