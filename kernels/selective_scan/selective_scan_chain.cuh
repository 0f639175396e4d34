// From what full tiles do to a state to the state behind each, in the order of time.
#pragma once

#include "kernels/selective_scan/selective_scan_tile.cuh"

namespace strandwave::scan {

constexpr int kChainBatch = 32; ///< links
constexpr int kChainThreads = 64;

/// What a thread of the chain reads of a batch of links, all loads under way together.
struct ChainBatch {
    float dt_sum[kChainBatch];
    float bt[kChainBatch];
    int from[kChainBatch];
};

/// Goes from link to link. The arrays have room for whole batches.
struct ChainReader {
    ScanChain::Link const* link;
    float const* dt_sum;
    float const* bt;
    index_t dt_sum_step;
    index_t bt_step;

    __device__ __forceinline__ void next(ChainBatch& batch) {
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i) {
            batch.from[i] = link[i].from;
            batch.dt_sum[i] = *dt_sum;
            batch.bt[i] = *bt;
            dt_sum += dt_sum_step;
            bt += bt_step;
        }
        link += kChainBatch;
    }
};

/// A thread for each state and channel.
template <class T>
__global__ void __launch_bounds__(kChainThreads) chain_tiles(Params<T> const p, int count) {
    constexpr bool kFast = sizeof(T) == 2;
    index_t const element = static_cast<index_t>(blockIdx.x) * kChainThreads + threadIdx.x;
    if (element >= p.slot_size()) { return; }
    index_t const slot_size = p.slot_size();
    float const A = p.A[element] * device::kLog2E;
    ChainReader reader{p.links, p.dt_sums + element % p.d_inner, p.after + element, p.d_inner, slot_size};
    float* after = p.after + element;
    float h = 0.0F;
    ChainBatch next;
    reader.next(next);
    for (int first = 0; first < count; first += kChainBatch) {
        ChainBatch const here = next;
        if (first + kChainBatch < count) { reader.next(next); }
        bool any = false;
        bool all_go_on = first + kChainBatch <= count;
#pragma unroll
        for (int i = 0; i < kChainBatch; ++i) {
            any = any || (first + i < count && here.from[i] != kNoTile);
            all_go_on = all_go_on && here.from[i] == kGoesOn;
        }
        if (any) {
            float at[kChainBatch];
#pragma unroll
            for (int i = 0; i < kChainBatch; ++i) {
                at[i] = device::exp2_of<kFast>(here.dt_sum[i] * A);
            }
            float* to = after;
            if (all_go_on) { // the middle of a long segment: without branches
#pragma unroll
                for (int i = 0; i < kChainBatch; ++i, to += slot_size) {
                    h = fmaf(at[i], h, here.bt[i]);
                    *to = h;
                }
            } else {
#pragma unroll
                for (int i = 0; i < kChainBatch; ++i, to += slot_size) {
                    if (first + i >= count || here.from[i] == kNoTile) { continue; }
                    if (here.from[i] != kGoesOn) {
                        bool const stored = here.from[i] >= 0 && p.state != nullptr;
                        h = stored ? p.state[here.from[i] * slot_size + element] : 0.0F;
                    }
                    h = fmaf(at[i], h, here.bt[i]);
                    *to = h;
                }
            }
        }
        after += kChainBatch * slot_size;
    }
}

template <class T>
__global__ void store_final_states(Params<T> const p) {
    index_t const link = blockIdx.x;
    if (p.links[link].from == kNoTile || p.links[link].final < 0) { return; }
    for (index_t i = threadIdx.x; i < p.slot_size(); i += blockDim.x) {
        p.state[p.links[link].final * p.slot_size() + i] = p.after[link * p.slot_size() + i];
    }
}

} // namespace strandwave::scan
