// What the kernels of selective_scan_backward_cuda.cu share: what a tile is, and how its rows get into shared memory.
#pragma once

#include "kernels/cuda/element.cuh"
#include "kernels/selective_scan/selective_scan_backward_cuda.h"
#include "kernels/selective_scan/selective_scan_backward_math.cuh"

#include <cstdint>

namespace strandwave::scan_backward {

constexpr int kTileRows = 32;  ///< rows of a tile, counted from a segment's start
constexpr int kChannels = 64;  ///< of a CTA
constexpr int kThreads = 128;  ///< of a CTA
constexpr int kStates = 16;    ///< of a CTA at a time
constexpr int kTileBlocks = 2; ///< row blocks
constexpr int kQuadsARow = kChannels / kQuad;
constexpr int kRowsAtOnce = kThreads / kQuadsARow;
static_assert(kTileRows == kTileBlocks * kBlockRows);

/// A row-major matrix, or one that is not there.
template <class T>
struct Matrix {
    T* data;
    index_t stride;  ///< in elements
    int byte_stride; ///< for rows that are not far apart

    __device__ __forceinline__ bool exists() const { return data != nullptr; }
    __device__ __forceinline__ T* at(index_t row, index_t col) const { return data + row * stride + col; }
};

/// What the tiles that start among the kTileBlocks row blocks of a link hand on. At most one of them goes on behind its
/// end (the last), and at most one comes from a tile before it (the first).
struct Link {
    std::int32_t from;  ///< of the tile that goes on: slot of h before it + 1, so 0 without one
    std::int32_t final; ///< of the tile that comes from one before: slot of the gradient behind it + 1
};
constexpr int kGoesOn = -1; ///< instead of a slot: that comes from the next tile
constexpr int kNoTile = -2; ///< there is no such tile

/// What the kernels are told. `kVector`: rows of all matrices, parameters and slots may be moved a quad at a time.
template <class T, bool kVector>
struct Params {
    Matrix<T const> u, delta, z, dy;
    Matrix<T> du, ddelta, dz, y;
    Matrix<void const> B, C; ///< strides count elements
    Matrix<void> dB, dC;
    float const* A;
    float const* D;
    float const* delta_bias; ///< null: zeros
    RowBlock const* blocks;
    index_t block_count;
    float const* initial;
    float const* d_final;
    float* d_initial;
    float *dA, *dD, *ddelta_bias;
    Link* links;    ///< for each kTileBlocks blocks
    float* dt_sums; ///< [2][links][padded]: of the tile that goes on, of the one that comes from before
    float* before;  ///< [links][d_state + 2][padded]: what the tile does to h, then h before the tile that comes from
                    ///< before, then, in the first of run_links, the sums for dA, dD and ddelta_bias
    float* behind;  ///< [links][d_state][padded]: what the tile does to a gradient, then the gradient behind the tile
                    ///< that goes on, then, if it starts its segment, the gradient before it
    float* sums;    ///< [groups][rows of all blocks][state_groups][dB of kStates, dC of kStates]
    index_t link_count;
    int run_links;   ///< that a CTA walks
    int chain_links; ///< that a CTA looks for the start of a chain in
    int d_inner;
    int d_state;
    int padded; ///< d_inner as whole groups
    int groups; ///< of channels
    int state_groups;
    bool states_are_bf16;
    bool delta_is_dt;
    bool accumulate_gate;

    __device__ __forceinline__ index_t slot_size() const { return static_cast<index_t>(d_state) * d_inner; }
    __device__ __forceinline__ float* before_of(index_t link, int n) const {
        return before + (link * (d_state + 2) + n) * padded;
    }
    __device__ __forceinline__ float* behind_of(index_t link, int n) const {
        return behind + (link * d_state + n) * padded;
    }
    __device__ __forceinline__ float* sums_of(int group, index_t block_row, int state_group) const {
        return sums + ((group * block_count * kBlockRows + block_row) * state_groups + state_group) * 2 * kStates;
    }
};

/// Up to kTileRows rows of a segment.
struct Tile {
    index_t block; ///< its first one
    RowBlock first;
    int rows;
    int final; ///< slot of the gradient behind it, if it ends its segment; else negative
    bool starts;
    bool goes_on;

    __device__ __forceinline__ index_t row(int i) const { return first.begin + static_cast<index_t>(first.step) * i; }
    __device__ __forceinline__ index_t link() const { return block / kTileBlocks; }
};

/// Whether a tile starts at a block, and what it is. What is read is read at the same time.
__device__ __forceinline__ bool find_tile(RowBlock const* blocks, index_t block_count, index_t block, Tile& tile) {
    RowBlock const first = blocks[block];
    RowBlock const second = blocks[min(block + 1, block_count - 1)];
    index_t const third_offset = blocks[min(block + 2, block_count - 1)].offset;
    bool const has_second = block + 1 < block_count && second.offset % kTileRows != 0;
    tile.block = block;
    tile.first = first;
    tile.rows = has_second ? static_cast<int>(kBlockRows) + second.count : first.count;
    tile.final = has_second ? second.final : first.final;
    tile.starts = first.offset == 0;
    tile.goes_on = block + (has_second ? 2 : 1) < block_count && (has_second ? third_offset : second.offset) > 0;
    return first.offset % kTileRows == 0;
}

/// The tiles that start among the blocks of some links.
template <class T, bool kVector>
class TileFinder {
public:
    __device__ __forceinline__ TileFinder(Params<T, kVector> const& p_, index_t link, int links)
        : p(p_), block(link * kTileBlocks), end(min(block + links * kTileBlocks, p_.block_count)) {}

    __device__ __forceinline__ bool next(Tile& tile) {
        while (block < end) {
            if (find_tile(p.blocks, p.block_count, block++, tile)) { return true; }
        }
        return false;
    }

private:
    Params<T, kVector> const& p;
    index_t block;
    index_t const end;
};

/// Neighbouring elements of a row, as they lie in memory.
template <class T>
using Quad = Packed<T, kQuad>;

/// A thread's share of a tile's rows: a quad of channels in every kRowsAtOnce-th row.
struct Share {
    int row;
    int channel; ///< of the CTA
    int e;
    int count; ///< of the quad's channels

    template <class T, bool kVector>
    __device__ __forceinline__ Share(Params<T, kVector> const& p, int group)
        : row(static_cast<int>(threadIdx.x) / kQuadsARow), channel(static_cast<int>(threadIdx.x) % kQuadsARow * kQuad),
          e(group * kChannels + channel), count(min(max(p.d_inner - e, 0), kQuad)) {}
};

/// `count` is 0 where there is nothing to read; else it is kQuad if `kVector`.
template <bool kVector, class T>
__device__ __forceinline__ Quad<T> load_quad(T const* from, int count) {
    Quad<T> quad{};
    if constexpr (kVector) {
        if (count > 0) { quad = load_packed<kQuad>(from); }
        return quad;
    }
    T values[kQuad] = {};
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        if (i < count) { values[i] = from[i]; }
    }
    static_assert(sizeof(values) == sizeof(quad));
    memcpy(&quad, values, sizeof(quad));
    return quad;
}

/// `count` times `bytes` behind `at`: one instruction, which compilers do not find where `count` is counted up.
template <class T>
__device__ __forceinline__ T* behind(T* at, int count, int bytes) {
    auto address = reinterpret_cast<std::intptr_t>(at);
#ifdef __CUDA_ARCH__
    asm("mad.wide.s32 %0, %1, %2, %0;" : "+l"(address) : "r"(count), "r"(bytes));
#else
    address += static_cast<std::intptr_t>(count) * bytes;
#endif
    return reinterpret_cast<T*>(address);
}

template <bool kVector, class T>
__device__ __forceinline__ void store_quad(float const (&values)[kQuad], T* to, int count) {
    if constexpr (kVector) {
        store<T, kQuad>(values, to);
    } else {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            if (i < count) { to[i] = device::from_float<T>(values[i]); }
        }
    }
}

__device__ __forceinline__ void load4(float const* from, float (&to)[kQuad]) { load<float, kQuad>(from, to); }

} // namespace strandwave::scan_backward
