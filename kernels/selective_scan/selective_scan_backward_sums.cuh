// Sums over runs and over groups of channels, in a fixed order.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_tile.cuh"

namespace strandwave::scan_backward {

constexpr int kFold = 64; ///< links whose parameter sums are added up first
constexpr int kFoldQuads = 32;
constexpr int kFoldWarps = kThreads / 32;
constexpr int kFoldAhead = 8;

/// What a CTA of the last kernels does.
struct SumsPlan {
    unsigned int row_ctas;       ///< dB and dC
    unsigned int parameter_ctas; ///< for each kFold links
    unsigned int chunks;         ///< of kFold links
};

template <class T, bool kVector>
__host__ __device__ __forceinline__ index_t parameter_sums(Params<T, kVector> const& p) {
    return static_cast<index_t>(p.d_state + 2) * p.padded;
}

template <class Element, bool kVector>
__device__ __forceinline__ void store_states_as(float const (&values)[kQuad], Matrix<void> matrix, index_t row, int n,
                                                int d_state) {
    if (n >= d_state) { return; }
    store_quad<kVector>(values, static_cast<Element*>(matrix.data) + row * matrix.stride + n, min(d_state - n, kQuad));
}

/// A thread for each quad of dB or dC.
template <class T, bool kVector>
__device__ __forceinline__ void sum_groups(Params<T, kVector> const& p, index_t cta) {
    constexpr int kQuadsEach = kStates / kQuad;
    index_t const thread = cta * kThreads + threadIdx.x;
    int const part = static_cast<int>(thread % (2 * kQuadsEach));
    int const state_group = static_cast<int>(thread / (2 * kQuadsEach) % p.state_groups);
    index_t const block_row = thread / (2 * kQuadsEach) / p.state_groups;
    index_t const block = block_row / kBlockRows;
    int const i = static_cast<int>(block_row % kBlockRows);
    if (block >= p.block_count || i >= p.blocks[block].count) { return; }
    index_t const row = p.blocks[block].begin + static_cast<index_t>(p.blocks[block].step) * i;
    float sum[kQuad] = {};
#pragma unroll 8
    for (int group = 0; group < p.groups; ++group) {
        float x[kQuad];
        load4(p.sums_of(group, block_row, state_group) + part * kQuad, x);
#pragma unroll
        for (int k = 0; k < kQuad; ++k) {
            sum[k] += x[k];
        }
    }
    Matrix<void> const to = part < kQuadsEach ? p.dB : p.dC;
    int const n = state_group * kStates + part % kQuadsEach * kQuad;
    p.states_are_bf16 ? store_states_as<__nv_bfloat16, kVector>(sum, to, row, n, p.d_state)
                      : store_states_as<float, kVector>(sum, to, row, n, p.d_state);
}

/// Sums over `count` links, `apart` from each other; true in the threads that have one.
template <class T, bool kVector>
__device__ __forceinline__ bool fold(Params<T, kVector> const& p, index_t first, index_t count, index_t apart,
                                     index_t quad, float (&sum)[kQuad]) {
    __shared__ float4 sums[kFoldWarps][kFoldQuads];
    int const warp = static_cast<int>(threadIdx.x) / 32;
    int const lane = static_cast<int>(threadIdx.x) % 32;
    bool const exists = quad * kQuad < parameter_sums(p);
    float const* const from = p.parameter_sums_of(first, 0) + (exists ? quad * kQuad : 0);
    index_t const step = apart * parameter_sums(p);
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        sum[i] = 0.0F;
    }
#pragma unroll kFoldAhead
    for (index_t link = warp; link < count; link += kFoldWarps) {
        float x[kQuad];
        load4(from + link * step, x);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            sum[i] += x[i];
        }
    }
    store<float, kQuad>(sum, &sums[warp][lane].x);
    __syncthreads();
    if (warp != 0 || !exists) { return false; }
#pragma unroll
    for (int w = 1; w < kFoldWarps; ++w) {
        float x[kQuad];
        load4(&sums[w][lane].x, x);
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            sum[i] += x[i];
        }
    }
    return true;
}

template <class T, bool kVector>
__device__ __forceinline__ void add_to_parameters(Params<T, kVector> const& p, index_t quad,
                                                  float const (&sum)[kQuad]) {
    int const n = static_cast<int>(quad * kQuad / p.padded);
    int const first_e = static_cast<int>(quad * kQuad % p.padded);
    float* const to = n < p.d_state    ? p.dA + static_cast<index_t>(n) * p.d_inner
                      : n == p.d_state ? p.dD
                                       : p.ddelta_bias;
    for (int i = 0; i < kQuad; ++i) {
        if (to != nullptr && first_e + i < p.d_inner) { to[first_e + i] += sum[i]; }
    }
}

/// Of kFold links, into the first of them; if those are all, to where they belong.
template <class T, bool kVector>
__device__ __forceinline__ void sum_links(Params<T, kVector> const& p, SumsPlan const& plan, index_t cta) {
    index_t const first = cta / plan.parameter_ctas * kFold;
    index_t const quad = cta % plan.parameter_ctas * kFoldQuads + threadIdx.x % 32;
    float sum[kQuad];
    if (!fold(p, first, min(p.link_count - first, index_t{kFold}), 1, quad, sum)) { return; }
    if (plan.chunks == 1) {
        add_to_parameters(p, quad, sum);
    } else {
        store<float, kQuad>(sum, p.parameter_sums_of(first, 0) + quad * kQuad);
    }
}

/// The gradient before a segment of several runs.
template <class T, bool kVector>
__device__ __forceinline__ void copy_initial(Params<T, kVector> const& p, index_t link) {
    int const from = p.links[link].from;
    if (from <= 0) { return; }
    float* const to = p.d_initial + (from - 1) * p.slot_size();
    for (int i = static_cast<int>(threadIdx.x); i < p.d_state * p.d_inner; i += kThreads) {
        to[i] = p.of_link(p.behind, link, i / p.d_inner)[i % p.d_inner];
    }
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads) sum_up(Params<T, kVector> const p, SumsPlan const plan) {
    index_t cta = blockIdx.x;
    if (cta < plan.row_ctas) { return sum_groups(p, cta); }
    cta -= plan.row_ctas;
    if (cta < static_cast<index_t>(plan.parameter_ctas) * plan.chunks) { return sum_links(p, plan, cta); }
    copy_initial(p, cta - static_cast<index_t>(plan.parameter_ctas) * plan.chunks);
}

template <class T, bool kVector>
__global__ void __launch_bounds__(kThreads) sum_chunks(Params<T, kVector> const p, SumsPlan const plan) {
    index_t const quad = static_cast<index_t>(blockIdx.x) * kFoldQuads + threadIdx.x % 32;
    float sum[kQuad];
    if (fold(p, 0, plan.chunks, kFold, quad, sum)) { add_to_parameters(p, quad, sum); }
}

} // namespace strandwave::scan_backward
