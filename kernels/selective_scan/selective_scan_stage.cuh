// How the rows of a tile get into shared memory, and y out of it.
#pragma once

#include "kernels/selective_scan/selective_scan_form.cuh"

namespace strandwave::scan {

/// As they come from device memory. A warp stages its own channels, so that only __syncwarp stands between the copy
/// and its use; B and C are for all warps.
template <class F>
struct Stage {
    using Channels = typename F::T[F::kRows][F::kChannels];
    alignas(16) Channels u[kWarps];
    alignas(16) Channels delta[kWarps];
    alignas(16) Channels z[kWarps]; ///< later y
    alignas(16) typename F::T BC[F::kRows][2 * kStates];
};

template <class F>
struct Shared {
    Stage<F> stages[2]; ///< one is used while the other is on its way
    alignas(16) float BC[F::kRows][2 * kStates];
};

/// Sixteen bytes; zeros if `exists` is false.
__device__ __forceinline__ void copy_async(void* to, void const* from, bool exists) {
    auto const address = static_cast<unsigned int>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(exists ? 16 : 0)
                 : "memory");
}

__device__ __forceinline__ void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

__device__ __forceinline__ void load4(float const* from, float (&to)[4]) {
    float4 const values = *reinterpret_cast<float4 const*>(from);
    to[0] = values.x;
    to[1] = values.y;
    to[2] = values.z;
    to[3] = values.w;
}

/// Calls move(pointer into the matrix, pointer into `rows`, whether the elements exist) for this thread's share of the
/// rows first .. of a tile, 16 bytes at a time.
template <class F, class Pointer, class Move>
__device__ __forceinline__ void for_chunks(Place<F> const& place, Tile const& tile, int first, int d_inner,
                                           Pointer matrix, index_t stride, typename Stage<F>::Channels& rows,
                                           Move const& move) {
    constexpr int kChunk = 16 / static_cast<int>(sizeof(typename F::T));
    constexpr int kChunks = F::kChannels / kChunk; // of a warp's row
    constexpr int kRowsAtOnce = 32 / kChunks;
    static_assert(F::kChannels % kChunk == 0 && F::kRows % kRowsAtOnce == 0);
    int const part = place.lane % kChunks * kChunk;
    bool const has_channels = place.first_e + part < d_inner;
#pragma unroll
    for (int k = 0; k < F::kRows; k += kRowsAtOnce) {
        int const row = k + place.lane / kChunks;
        bool const exists = has_channels && first + row < tile.rows;
        index_t const at = tile.first.begin + static_cast<index_t>(tile.first.step) * (exists ? first + row : 0);
        move(matrix + at * stride + (exists ? place.first_e + part : 0), &rows[row][part], exists);
    }
}

/// Rows first .. of a tile of a matrix [rows, d_inner]; zeros for what is not there.
template <class F, class T = typename F::T>
__device__ __forceinline__ void stage_channels(Params<T> const& p, Place<F> const& place, Tile const& tile, int first,
                                               T const* matrix, index_t stride, typename Stage<F>::Channels& rows) {
    if (p.vector_channels) {
        for_chunks(place, tile, first, p.d_inner, matrix, stride, rows,
                   [](T const* from, T* to, bool exists) { copy_async(to, from, exists); });
        return;
    }
    for (int k = place.part; k < F::kRows; k += F::kLanes) {
        bool const exists = first + k < tile.rows;
        rows[k][place.channel] = exists ? matrix[tile.row(first + k) * stride + place.e] : T(0.0F);
    }
}

/// y of the rows first .. of a tile.
template <class F, class T = typename F::T>
__device__ __forceinline__ void store_channels(Params<T> const& p, Place<F> const& place, Tile const& tile, int first,
                                               typename Stage<F>::Channels& rows) {
    if (p.vector_channels) {
        for_chunks(place, tile, first, p.d_inner, p.y, p.y_stride, rows, [](T* to, T const* from, bool exists) {
            if (exists) { *reinterpret_cast<uint4*>(to) = *reinterpret_cast<uint4 const*>(from); }
        });
        return;
    }
    for (int k = place.part; k < F::kRows && place.exists && first + k < tile.rows; k += F::kLanes) {
        p.y[tile.row(first + k) * p.y_stride + place.e] = rows[k][place.channel];
    }
}

/// Whether B and C of the states n0 .. come by way of a stage.
template <class T>
__device__ __forceinline__ bool states_are_staged(Params<T> const& p, int n0) {
    return p.vector_states && n0 + kStates <= p.d_state;
}

/// B and C of the rows first .. and the states n0 ..; zeros for what is not there.
template <class F, class T = typename F::T>
__device__ __forceinline__ void stage_states(Params<T> const& p, Tile const& tile, int first, int n0, Stage<F>& stage) {
    constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
    constexpr int kChunks = 2 * kStates / kChunk;
    int const row = static_cast<int>(threadIdx.x) / kChunks;
    int const part = static_cast<int>(threadIdx.x) % kChunks * kChunk;
    static_assert(F::kRows * kChunks <= kThreads);
    if (row >= F::kRows) { return; }
    bool const exists = first + row < tile.rows;
    index_t const at = tile.row(exists ? first + row : 0);
    copy_async(&stage.BC[row][part],
               part < kStates ? p.B + at * p.B_stride + n0 + part : p.C + at * p.C_stride + n0 + part - kStates,
               exists);
}

/// The same as fp32, from the stage if they are there, else from device memory.
template <class F, class T = typename F::T>
__device__ __forceinline__ void prepare_states(Params<T> const& p, Tile const& tile, int first, int n0,
                                               Stage<F> const* stage, Shared<F>& s) {
    for (int i = static_cast<int>(threadIdx.x) * 4; i < F::kRows * 2 * kStates; i += kThreads * 4) {
        int const row = i / (2 * kStates);
        int const part = i % (2 * kStates);
        float values[4];
        if (stage != nullptr) {
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                values[k] = device::to_float(stage->BC[row][part + k]);
            }
        } else {
            T const* const from =
                part < kStates ? p.B + tile.row(first + row) * p.B_stride : p.C + tile.row(first + row) * p.C_stride;
#pragma unroll
            for (int k = 0; k < 4; ++k) {
                int const n = n0 + part % kStates + k;
                values[k] = first + row < tile.rows && n < p.d_state ? device::to_float(from[n]) : 0.0F;
            }
        }
        *reinterpret_cast<float4*>(&s.BC[row][part]) = {values[0], values[1], values[2], values[3]};
    }
}

} // namespace strandwave::scan
