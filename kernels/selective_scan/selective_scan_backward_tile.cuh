// What the kernels of selective_scan_backward_cuda.cu share: what runs and tiles are, and how rows are read.
#pragma once

#include "kernels/cuda/element.cuh"
#include "kernels/selective_scan/selective_scan_backward_cuda.h"
#include "kernels/selective_scan/selective_scan_backward_math.cuh"

#include <cstdint>

namespace strandwave::scan_backward {

constexpr int kTileRows = 32;  ///< rows of a tile, counted from a segment's start; a run has whole tiles
constexpr int kChannels = 64;  ///< of a CTA
constexpr int kThreads = 128;  ///< of a CTA
constexpr int kStates = 16;    ///< of a CTA at a time
constexpr int kTileBlocks = 2; ///< row blocks
constexpr int kQuadsARow = kChannels / kQuad;
constexpr int kRowsAtOnce = kThreads / kQuadsARow;
static_assert(kTileRows == kTileBlocks * kBlockRows && kTileRows == kScanStateRows);

/// A row-major matrix, or one that is not there.
template <class T>
struct Matrix {
    T* data;
    index_t stride;  ///< in elements
    int byte_stride; ///< for rows that are not far apart

    __device__ __forceinline__ bool exists() const { return data != nullptr; }
    __device__ __forceinline__ T* at(index_t row, index_t col) const { return data + row * stride + col; }
};

/// What the runs that start among the run_blocks row blocks of a link hand on. At most one of them goes on behind its
/// end (the last), and at most one comes from a run before it (the first).
struct Link {
    std::int32_t from;  ///< of the run that goes on: slot of h before it + 1, so 0 without one
    std::int32_t final; ///< of the run that comes from one before: slot of the gradient behind it + 1
};
constexpr int kGoesOn = -1; ///< instead of a slot: that comes from the next run
constexpr int kNoRun = -2;  ///< there is no such run

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
    Link* links;    ///< for each run_blocks blocks
    float* dt_sums; ///< [2][links][padded]: of the run that goes on, of the one that comes from before
    float* before;  ///< [links][d_state][padded]: what the run does to h, then h before the run that comes from before
    float* behind;  ///< [links][d_state][padded]: what the run does to a gradient, then the gradient behind the run
                    ///< that goes on, then, if it starts its segment, the gradient before it
    float* carried; ///< [links][d_state][padded]: the gradient between two tiles, if there are many states
    float const* states; ///< [blocks / kTileBlocks][d_state][d_inner]: h before a tile that does not start its segment
    float* new_states;   ///< the same if they are not given; else null
    float* sums;         ///< [groups][rows of all blocks][state_groups][dB of kStates, dC of kStates]
    float* parameter_sums; ///< [links][d_state + 2][padded]: for dA, dD and ddelta_bias
    index_t link_count;
    int run_blocks;  ///< of the longest runs, and of a link: a power of two
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
    __device__ __forceinline__ float* of_link(float* states_of_links, index_t link, int n) const {
        return states_of_links + (link * d_state + n) * padded;
    }
    __device__ __forceinline__ index_t before_tile(index_t block, int n) const {
        return (block / kTileBlocks * d_state + n) * d_inner;
    }
    __device__ __forceinline__ float* parameter_sums_of(index_t link, int n) const {
        return parameter_sums + (link * (d_state + 2) + n) * padded;
    }
    __device__ __forceinline__ float* sums_of(int group, index_t block_row, int state_group) const {
        return sums + ((group * block_count * kBlockRows + block_row) * state_groups + state_group) * 2 * kStates;
    }
};

/// Up to kTileRows rows of a segment.
struct Tile {
    index_t block; ///< its first one
    index_t begin; ///< first row in the order of time
    int step;      ///< from a row to the next in time
    int rows;
};

/// Up to run_blocks blocks of a segment, whose tiles a CTA takes one after the other.
struct Run {
    index_t block; ///< its first one
    RowBlock first;
    int rows;
    int final; ///< slot of the gradient behind it, if it ends its segment; else negative
    bool starts;
    bool goes_on;

    __device__ __forceinline__ int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
    __device__ __forceinline__ Tile tile(int i) const {
        return {block + i * kTileBlocks, first.begin + static_cast<index_t>(first.step) * (i * kTileRows), first.step,
                min(rows - i * kTileRows, kTileRows)};
    }
};

/// The runs that start among the blocks of a link. Whole warps come along: each lane looks at one of 32 blocks.
template <class T, bool kVector>
class RunFinder {
public:
    __device__ __forceinline__ RunFinder(Params<T, kVector> const& p_, index_t link)
        : p(p_), first(link * p_.run_blocks), unvisited(starts_from(first)) {}

    __device__ __forceinline__ bool next(Run& run) {
        while (unvisited == 0) {
            chunk += 32;
            if (chunk >= p.run_blocks) { return false; }
            unvisited = starts_from(first + chunk);
        }
        int const i = __ffs(static_cast<int>(unvisited)) - 1;
        index_t const block = first + chunk + i;
        if (chunk + i >= p.run_blocks || block >= p.block_count) { return false; }
        unvisited &= unvisited - 1U;
        index_t from = block + 1;
        unsigned int behind = starts_from(from);
        while (behind == 0) {
            from += 32;
            behind = starts_from(from);
        }
        index_t const end = from + __ffs(static_cast<int>(behind)) - 1;
        RowBlock const last = p.blocks[end - 1];
        run.block = block;
        run.first = p.blocks[block];
        run.rows = static_cast<int>((end - 1 - block) * kBlockRows) + last.count;
        run.final = last.final;
        run.starts = run.first.offset == 0;
        run.goes_on = end < p.block_count && p.blocks[end].offset > 0;
        return true;
    }

private:
    /// Bit i: block from + i starts a run, or does not exist.
    __device__ __forceinline__ unsigned int starts_from(index_t from) const {
        index_t const block = from + threadIdx.x % 32;
        index_t const offset_mask = p.run_blocks * kBlockRows - 1;
        return __ballot_sync(~0U, block >= p.block_count || (p.blocks[block].offset & offset_mask) == 0);
    }

    Params<T, kVector> const& p;
    index_t const first;
    int chunk = 0;
    unsigned int unvisited;
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
