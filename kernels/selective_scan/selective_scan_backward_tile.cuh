// What the kernels of selective_scan_backward_cuda.cu share: what a tile is, and how its rows get into shared memory.
#pragma once

#include "kernels/cuda/element.cuh"
#include "kernels/selective_scan/selective_scan_backward_cuda.h"
#include "kernels/selective_scan/selective_scan_backward_math.cuh"

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
    index_t stride;

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

/// What the kernels are told.
template <class T>
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
                    ///< before, then the sums for dA, dD and ddelta_bias
    float* behind;  ///< [links][d_state][padded]: what the tile does to a gradient, then the gradient behind the tile
                    ///< that goes on, then, if it starts its segment, the gradient before it
    float* sums;    ///< [groups][rows of all blocks][state_groups][dB of kStates, dC of kStates]
    index_t link_count;
    int d_inner;
    int d_state;
    int padded; ///< d_inner as whole groups
    int groups; ///< of channels
    int state_groups;
    bool vector_channels;   ///< rows of u and its like may be moved a quad at a time
    bool vector_states;     ///< rows of B and its like too
    bool vector_parameters; ///< and those of A and of the slots
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

/// Whether a tile starts at a block, and what it is.
__device__ __forceinline__ bool find_tile(RowBlock const* blocks, index_t block_count, index_t block, Tile& tile) {
    if (block >= block_count) { return false; }
    RowBlock const none{};
    tile.block = block;
    tile.first = blocks[block];
    RowBlock const second = block + 1 < block_count ? blocks[block + 1] : none;
    index_t const third = block + 2 < block_count ? blocks[block + 2].offset : 0;
    if (tile.first.offset % kTileRows != 0) { return false; }
    bool const has_second = second.offset % kTileRows != 0;
    tile.rows = has_second ? static_cast<int>(kBlockRows) + second.count : tile.first.count;
    tile.final = has_second ? second.final : tile.first.final;
    tile.starts = tile.first.offset == 0;
    tile.goes_on = (has_second ? third : second.offset) > 0;
    return true;
}

/// Rows of a tile as fp32, for the channels of a CTA. What is not there is 0, and does nothing to any state.
struct Rows {
    alignas(16) float2 steps[kTileRows][kChannels]; ///< dt and dt u
    alignas(16) float ds[kTileRows][kChannels];
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

    template <class T>
    __device__ __forceinline__ Share(Params<T> const& p, int group)
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

template <class T>
__device__ __forceinline__ void store_quad(float const (&values)[kQuad], T* to, int count, bool vector) {
    if (vector) {
        store<T, kQuad>(values, to);
        return;
    }
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        if (i < count) { to[i] = device::from_float<T>(values[i]); }
    }
}

/// A thread's way through the rows of a tile in a matrix, kRowsAtOnce at a time.
template <class T>
struct Column {
    T* at;
    index_t step;

    __device__ __forceinline__ Column(Matrix<T> matrix, Tile const& tile, Share const& share)
        : at(matrix.at(tile.row(share.row), share.e)),
          step(static_cast<index_t>(tile.first.step) * kRowsAtOnce * matrix.stride) {}
    __device__ __forceinline__ void next() { at += step; }
};

constexpr int kShareRows = kTileRows / kRowsAtOnce;

/// What a thread reads of rows that are under way together.
template <class T>
struct Inputs {
    static constexpr int kCount = 8 / static_cast<int>(sizeof(T));
    static_assert(kShareRows % kCount == 0);
    Quad<T> u[kCount], delta[kCount], z[kCount], dy[kCount];
};

/// A thread's share of the inputs of a tile, in order.
template <class T>
class InputReader {
public:
    __device__ __forceinline__ InputReader(Params<T> const& p, Tile const& tile, Share const& share)
        : u(p.u, tile, share), delta(p.delta, tile, share), z(p.z.exists() ? p.z : p.dy, tile, share),
          dy(p.dy, tile, share), row(share.row), rows(tile.rows), count(share.count), vector(p.vector_channels) {}

    __device__ __forceinline__ void next(Inputs<T>& in) { vector ? load<true>(in) : load<false>(in); }

private:
    template <bool kVector>
    __device__ __forceinline__ void load(Inputs<T>& in) {
#pragma unroll
        for (int i = 0; i < Inputs<T>::kCount; ++i, row += kRowsAtOnce) {
            int const here = row < rows ? count : 0;
            in.u[i] = load_quad<kVector>(u.at, here);
            in.delta[i] = load_quad<kVector>(delta.at, here);
            in.z[i] = load_quad<kVector>(z.at, here);
            in.dy[i] = load_quad<kVector>(dy.at, here);
            u.next();
            delta.next();
            z.next();
            dy.next();
        }
    }

    Column<T const> u, delta, z, dy;
    int row;
    int const rows;
    int const count;
    bool const vector;
};

/// `parameters[e]` of a share's channels; 0 where there is none.
__device__ __forceinline__ void load_parameters(float const* parameters, Share const& share, float (&to)[kQuad]) {
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        to[i] = parameters != nullptr && i < share.count ? parameters[share.e + i] : 0.0F;
    }
}

template <class T>
__device__ __forceinline__ void prepare_row(Params<T> const& p, Quad<T> u_quad, Quad<T> delta_quad, Quad<T> z_quad,
                                            Quad<T> dy_quad, float const (&bias)[kQuad], bool const (&exists)[kQuad],
                                            float2* steps, float* ds) {
    constexpr bool kFast = sizeof(T) == 2;
    float u[kQuad], dt[kQuad], z[kQuad], dy[kQuad];
    unpack(u_quad, u);
    unpack(delta_quad, dt);
    unpack(z_quad, z);
    unpack(dy_quad, dy);
    if (!p.delta_is_dt) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            dt[i] = softplus<kFast>(dt[i] + bias[i]);
        }
    }
    if (p.z.exists()) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            dy[i] *= z[i] * sigmoid<kFast>(z[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        dt[i] = exists[i] ? dt[i] : 0.0F;
    }
    auto* const to = reinterpret_cast<float4*>(steps);
    to[0] = {dt[0], dt[0] * u[0], dt[1], dt[1] * u[1]};
    to[1] = {dt[2], dt[2] * u[2], dt[3], dt[3] * u[3]};
    store<float, kQuad>(dy, ds);
}

template <class T>
__device__ __forceinline__ void prepare_rows(Params<T> const& p, Tile const& tile, int group, Rows& rows) {
    Share const share(p, group);
    float bias[kQuad];
    load_parameters(p.delta_bias, share, bias);
    InputReader<T> reader(p, tile, share);
#pragma unroll 1
    for (int first = 0; first < kShareRows; first += Inputs<T>::kCount) {
        Inputs<T> in;
        reader.next(in);
#pragma unroll
        for (int k = 0; k < Inputs<T>::kCount; ++k) {
            int const row = share.row + (first + k) * kRowsAtOnce;
            bool exists[kQuad];
#pragma unroll
            for (int i = 0; i < kQuad; ++i) {
                exists[i] = row < tile.rows && i < share.count;
            }
            prepare_row(p, in.u[k], in.delta[k], in.z[k], in.dy[k], bias, exists, &rows.steps[row][share.channel],
                        &rows.ds[row][share.channel]);
        }
    }
}

template <class Element>
__device__ __forceinline__ void load_states_as(Matrix<void const> matrix, index_t row, int n, int d_state, bool vector,
                                               float (&to)[kQuad]) {
    Element const* const from = static_cast<Element const*>(matrix.data) + row * matrix.stride + n;
    if (vector) {
        if (n < d_state) { load<Element, kQuad>(from, to); }
        return;
    }
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        if (n + i < d_state) { to[i] = device::to_float(from[i]); }
    }
}

/// B or C of the states n .. n + 3 of a tile's row; zeros for what is not there.
template <class T>
__device__ __forceinline__ void load_states(Params<T> const& p, Matrix<void const> matrix, Tile const& tile, int row,
                                            int n, float (&to)[kQuad]) {
#pragma unroll
    for (int i = 0; i < kQuad; ++i) {
        to[i] = 0.0F;
    }
    if (row >= tile.rows) { return; }
    p.states_are_bf16 ? load_states_as<__nv_bfloat16>(matrix, tile.row(row), n, p.d_state, p.vector_states, to)
                      : load_states_as<float>(matrix, tile.row(row), n, p.d_state, p.vector_states, to);
}

__device__ __forceinline__ void load4(float const* from, float (&to)[kQuad]) { load<float, kQuad>(from, to); }

} // namespace strandwave::scan_backward
