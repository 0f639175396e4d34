// What the kernels of selective_scan_cuda.cu share: what they are told, and what a tile is.
#pragma once

#include "kernels/cuda/math.cuh"
#include "kernels/selective_scan/selective_scan_cuda.h"

namespace strandwave::scan {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kStates = 16; ///< in registers at a time
constexpr int kQuad = 4;    ///< states whose part of y is summed by itself, whoever holds them
constexpr int kTileBlocks = static_cast<int>(kScanTileRows / kBlockRows);
static_assert(kTileBlocks == 16, "a warp's lanes look at the blocks of two tiles");
constexpr index_t kMostSegmentRows = 1 << 24; ///< of one that is walked whole: its rows are counted by int

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
    int groups;           ///< of channels: CTAs that a tile takes
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

/// The segments that start in the kTileBlocks blocks which belong to a link, each as one tile of all its rows.
class Segments {
public:
    __device__ __forceinline__ Segments(RowBlock const* blocks_, index_t block_count_, index_t link)
        : blocks(blocks_), block_count(block_count_), begin(link * kTileBlocks) {
        index_t const index = begin + threadIdx.x % 32;
        bool const mine = threadIdx.x % 32 < kTileBlocks && index < block_count;
        unvisited = __ballot_sync(~0U, mine && blocks[index].offset == 0);
    }

    __device__ __forceinline__ bool next(Tile& segment) {
        if (unvisited == 0) { return false; }
        segment.block = begin + __ffs(static_cast<int>(unvisited)) - 1;
        unvisited &= unvisited - 1U;
        segment.first = blocks[segment.block];
        index_t const last = last_block(segment.block);
        segment.rows = static_cast<int>((last - segment.block) * kBlockRows) + blocks[last].count;
        segment.final = blocks[last].final;
        segment.starts = true;
        segment.goes_on = false;
        return true;
    }

private:
    __device__ __forceinline__ index_t last_block(index_t first) const {
        for (;; first += 32) {
            index_t const index = first + 1 + threadIdx.x % 32;
            unsigned int const others = __ballot_sync(~0U, index >= block_count || blocks[index].offset == 0);
            if (others != 0) { return first + __ffs(static_cast<int>(others)) - 1; }
        }
    }

    RowBlock const* blocks;
    index_t block_count;
    index_t begin;
    unsigned int unvisited; ///< bit i: a segment starts at block begin + i
};

template <class T>
__device__ __forceinline__ index_t link_of_cta(Params<T> const& p) {
    return blockIdx.x / static_cast<unsigned int>(p.groups);
}

} // namespace strandwave::scan
