// What the kernels of selective_scan_cuda.cu share: what a tile is, and how its rows get into shared memory.
#pragma once

#include "kernels/cuda/math.cuh"
#include "kernels/selective_scan/selective_scan_cuda.h"

namespace strandwave::scan {

constexpr int kThreads = 128; ///< channels of a CTA
constexpr int kWarps = kThreads / 32;
constexpr int kStates = 16; ///< in registers at a time
constexpr int kTileBlocks = static_cast<int>(kScanTileRows / kBlockRows);
static_assert(kTileBlocks == 16, "a warp's lanes look at the blocks of two tiles");

/// What the kernels are told. Row strides count elements.
template <class T>
struct Params {
    T const* u;
    T const* delta;
    T const* B;
    T const* C;
    T const* z; ///< null: no gate
    T* y;
    index_t u_stride, delta_stride, B_stride, C_stride, z_stride, y_stride;
    float const* A;
    float const* D;
    float const* delta_bias; ///< null: zeros
    RowBlock const* blocks;
    index_t block_count;
    float* state;
    ScanChain::Link* links; ///< one for each kTileBlocks blocks: that of the full tile that starts among them
    float* dt_sums;         ///< [links][d_inner]
    float* after;           ///< [links][d_state][d_inner]; bt before the chain, then the state behind the tile
    int d_inner;
    int d_state;
    int groups;           ///< of channels
    bool vector_channels; ///< rows of u, delta, z and y may be moved 16 bytes at a time
    bool vector_states;   ///< rows of B and C too
    float* kept_states;   ///< null: not wanted

    __device__ __forceinline__ index_t slot_size() const { return static_cast<index_t>(d_state) * d_inner; }
};

constexpr int kNoTile = -3;
constexpr int kGoesOn = -2;
constexpr int kFromZero = -1;

/// A tile of the segment list. Full tiles start at least kTileBlocks blocks apart, so each has a link of its own.
struct Tile {
    index_t block; ///< its first one
    RowBlock first;
    int rows;
    int final;   ///< slot for the state behind it, if it ends its segment; else negative
    bool starts; ///< its segment
    bool goes_on;

    __device__ __forceinline__ index_t row(int i) const { return first.begin + static_cast<index_t>(first.step) * i; }
    __device__ __forceinline__ bool full() const { return rows == kScanTileRows; }
    __device__ __forceinline__ bool surveyed() const { return full() && (goes_on || final >= 0); }
    __device__ __forceinline__ index_t link() const { return block / kTileBlocks; }
};

/// The tiles that start in the kTileBlocks blocks which belong to a link.
class Tiles {
public:
    __device__ __forceinline__ Tiles(RowBlock const* blocks_, index_t block_count_, index_t link)
        : blocks(blocks_), block_count(block_count_), begin(link * kTileBlocks) {
        index_t const index = begin + threadIdx.x % 32;
        bool const exists = index < block_count;
        starts = __ballot_sync(~0U, !exists || blocks[index].offset % kScanTileRows == 0);
        index_t const left = block_count - begin;
        unvisited = starts & (left < kTileBlocks ? (1U << left) - 1U : 0xffffU);
    }

    __device__ __forceinline__ bool next(Tile& tile) {
        if (unvisited == 0) { return false; }
        int const i = __ffs(static_cast<int>(unvisited)) - 1;
        unvisited &= unvisited - 1U;
        int const count = __ffs(static_cast<int>(starts >> i >> 1U));
        tile.block = begin + i;
        tile.first = blocks[tile.block];
        tile.starts = tile.first.offset == 0;
        RowBlock const& last = blocks[tile.block + count - 1];
        tile.rows = (count - 1) * static_cast<int>(kBlockRows) + last.count;
        tile.final = last.final;
        tile.goes_on = tile.block + count < block_count && blocks[tile.block + count].offset > 0;
        return true;
    }

private:
    RowBlock const* blocks;
    index_t block_count;
    index_t begin;
    unsigned int starts; ///< bit i: block begin + i starts a tile
    unsigned int unvisited;
};

/// Rows that are staged together.
template <class T>
constexpr int kStageRows = 32 / static_cast<int>(sizeof(T));

/// As they come from device memory. A warp stages its own channels, so that only __syncwarp stands between the copy
/// and its use; B and C are for all warps.
template <class T>
struct Stage {
    alignas(16) T u[kWarps][kStageRows<T>][32];
    alignas(16) T delta[kWarps][kStageRows<T>][32];
    alignas(16) T z[kWarps][kStageRows<T>][32]; ///< later y
    alignas(16) T BC[kStageRows<T>][2 * kStates];
};

template <class T>
struct Shared {
    Stage<T> stages[2]; ///< one is used while the other is on its way
    alignas(16) float BC[kStageRows<T>][2 * kStates];
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

/// Where a warp of the CTA stands. Threads behind the last channel repeat it and write nothing.
struct Place {
    int warp;
    int lane;
    int first_e; ///< of the warp; may lie behind the last channel
    int e;
    bool exists;

    template <class T>
    __device__ __forceinline__ explicit Place(Params<T> const& p)
        : warp(static_cast<int>(threadIdx.x) / 32), lane(static_cast<int>(threadIdx.x) % 32),
          first_e(static_cast<int>(blockIdx.x % static_cast<unsigned int>(p.groups)) * kThreads + warp * 32),
          e(min(first_e + lane, p.d_inner - 1)), exists(first_e + lane < p.d_inner) {}
};

/// Calls move(pointer into the matrix, pointer into `rows`, whether the elements exist) for this thread's share of the
/// rows first .. of a tile, 16 bytes at a time.
template <class T, class Pointer, class Move>
__device__ __forceinline__ void for_chunks(Place const& place, Tile const& tile, int first, int d_inner, Pointer matrix,
                                           index_t stride, T (&rows)[kStageRows<T>][32], Move const& move) {
    constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
    constexpr int kChunks = 32 / kChunk; // of a warp's row
    constexpr int kRowsAtOnce = 32 / kChunks;
    int const part = place.lane % kChunks * kChunk;
    bool const has_channels = place.first_e + part < d_inner;
#pragma unroll
    for (int k = 0; k < kStageRows<T>; k += kRowsAtOnce) {
        int const row = k + place.lane / kChunks;
        bool const exists = has_channels && first + row < tile.rows;
        index_t const at = tile.first.begin + static_cast<index_t>(tile.first.step) * (exists ? first + row : 0);
        move(matrix + at * stride + (exists ? place.first_e + part : 0), &rows[row][part], exists);
    }
}

/// Rows first .. of a tile of a matrix [rows, d_inner]; zeros for what is not there.
template <class T>
__device__ __forceinline__ void stage_channels(Params<T> const& p, Place const& place, Tile const& tile, int first,
                                               T const* matrix, index_t stride, T (&rows)[kStageRows<T>][32]) {
    if (p.vector_channels) {
        for_chunks(place, tile, first, p.d_inner, matrix, stride, rows,
                   [](T const* from, T* to, bool exists) { copy_async(to, from, exists); });
        return;
    }
    for (int k = 0; k < kStageRows<T>; ++k) {
        bool const exists = first + k < tile.rows;
        rows[k][place.lane] = exists ? matrix[tile.row(first + k) * stride + place.e] : T(0.0F);
    }
}

/// y of the rows first .. of a tile.
template <class T>
__device__ __forceinline__ void store_channels(Params<T> const& p, Place const& place, Tile const& tile, int first,
                                               T (&rows)[kStageRows<T>][32]) {
    if (p.vector_channels) {
        for_chunks(place, tile, first, p.d_inner, p.y, p.y_stride, rows, [](T* to, T const* from, bool exists) {
            if (exists) { *reinterpret_cast<uint4*>(to) = *reinterpret_cast<uint4 const*>(from); }
        });
        return;
    }
    for (int k = 0; k < kStageRows<T> && place.exists && first + k < tile.rows; ++k) {
        p.y[tile.row(first + k) * p.y_stride + place.e] = rows[k][place.lane];
    }
}

/// Whether B and C of the states n0 .. come by way of a stage.
template <class T>
__device__ __forceinline__ bool states_are_staged(Params<T> const& p, int n0) {
    return p.vector_states && n0 + kStates <= p.d_state;
}

/// B and C of the rows first .. and the states n0 ..; zeros for what is not there.
template <class T>
__device__ __forceinline__ void stage_states(Params<T> const& p, Tile const& tile, int first, int n0, Stage<T>& stage) {
    constexpr int kChunk = 16 / static_cast<int>(sizeof(T));
    constexpr int kChunks = 2 * kStates / kChunk;
    int const row = static_cast<int>(threadIdx.x) / kChunks;
    int const part = static_cast<int>(threadIdx.x) % kChunks * kChunk;
    if (row >= kStageRows<T>) { return; }
    bool const exists = first + row < tile.rows;
    index_t const at = tile.row(exists ? first + row : 0);
    copy_async(&stage.BC[row][part],
               part < kStates ? p.B + at * p.B_stride + n0 + part : p.C + at * p.C_stride + n0 + part - kStates,
               exists);
}

/// The same as fp32, from the stage if they are there, else from device memory.
template <class T>
__device__ __forceinline__ void prepare_states(Params<T> const& p, Tile const& tile, int first, int n0,
                                               Stage<T> const* stage, Shared<T>& s) {
    for (int i = static_cast<int>(threadIdx.x) * 4; i < kStageRows<T> * 2 * kStates; i += kThreads * 4) {
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
