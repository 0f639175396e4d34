// How a tile's rows, and B and C, get into shared memory.
#pragma once

#include "kernels/selective_scan/selective_scan_backward_tile.cuh"

namespace strandwave::scan_backward {

/// Rows of a tile as fp32, for the channels of a CTA. What is not there is 0, and does nothing to any state.
struct Rows {
    alignas(16) float2 steps[kTileRows][kChannels]; ///< dt and dt u
    alignas(16) float ds[kTileRows][kChannels];
};

/// Keeps a run in shared memory, where registers are few.
__device__ __forceinline__ Run const& share_run(Run const& run, Run& shared) {
    __syncthreads(); // all are through with the run before
    if (threadIdx.x == 0) { shared = run; }
    __syncthreads();
    return shared;
}

/// A thread's quads of channels in a matrix, by row of the tile.
template <class T>
struct Column {
    T* first; ///< of row 0
    int step; ///< bytes

    __device__ __forceinline__ Column(Matrix<T> matrix, Tile const& tile, Share const& share)
        : first(matrix.at(tile.begin, share.e)), step(tile.step * matrix.byte_stride) {}
    __device__ __forceinline__ T* at(int row) const { return behind(first, row, step); }
};

constexpr int kShareRows = kTileRows / kRowsAtOnce;

/// What a thread reads of a row.
template <class T>
struct Inputs {
    Quad<T> u, delta, z, dy;
};
struct InputValues {
    float u[kQuad], delta[kQuad], z[kQuad], dy[kQuad];

    template <class T>
    __device__ __forceinline__ explicit InputValues(Inputs<T> const& in) {
        unpack(in.u, u);
        unpack(in.delta, delta);
        unpack(in.z, z);
        unpack(in.dy, dy);
    }
};

/// A thread's share of the inputs of a tile.
template <class T, bool kVector>
class InputReader {
public:
    __device__ __forceinline__ InputReader(Params<T, kVector> const& p, Tile const& tile, Share const& share,
                                           bool wants_delta, bool wants_gradients)
        : u(p.u, tile, share), delta(p.delta, tile, share), z(p.z, tile, share), dy(p.dy, tile, share), rows(tile.rows),
          count(share.count), delta_count(wants_delta ? share.count : 0),
          z_count(wants_gradients && p.z.exists() ? share.count : 0), dy_count(wants_gradients ? share.count : 0) {}

    __device__ __forceinline__ void read(int row, Inputs<T>& in) const {
        bool const exists = row < rows;
        in.u = load_quad<kVector>(u.at(row), exists ? count : 0);
        in.delta = load_quad<kVector>(delta.at(row), exists ? delta_count : 0);
        in.z = load_quad<kVector>(z.at(row), exists ? z_count : 0);
        in.dy = load_quad<kVector>(dy.at(row), exists ? dy_count : 0);
    }

private:
    Column<T const> u, delta, z, dy;
    int const rows;
    int const count;
    int const delta_count;
    int const z_count;
    int const dy_count;
};

/// `parameters[e]` of a share's channels; 0 where there is none.
template <bool kVector>
__device__ __forceinline__ void load_parameters(float const* parameters, Share const& share, float (&to)[kQuad]) {
    unpack(load_quad<kVector>(parameters + share.e, parameters != nullptr ? share.count : 0), to);
}

/// `count`: of the quad's channels those that exist, 0 behind the tile's end.
template <bool kGradients, class T, bool kVector>
__device__ __forceinline__ void prepare_row(Params<T, kVector> const& p, InputValues& in, float const (&bias)[kQuad],
                                            int count, float2* steps, float* ds) {
    constexpr bool kFast = sizeof(T) == 2;
    if (!p.delta_is_dt) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            in.delta[i] = i < count ? softplus<kFast>(in.delta[i] + bias[i]) : 0.0F;
        }
    }
    if (kGradients && p.z.exists()) {
#pragma unroll
        for (int i = 0; i < kQuad; ++i) {
            in.dy[i] *= in.z[i] * sigmoid<kFast>(in.z[i]);
        }
    }
    float const(&dt)[kQuad] = in.delta;
    auto* const to = reinterpret_cast<float4*>(steps);
    to[0] = {dt[0], dt[0] * in.u[0], dt[1], dt[1] * in.u[1]};
    to[1] = {dt[2], dt[2] * in.u[2], dt[3], dt[3] * in.u[3]};
    if (kGradients) { store<float, kQuad>(in.dy, ds); }
}

/// `kAhead` rows of a thread are under way together; `kGradients`: ds is wanted too. All code for a tile is run once
/// for each tile: more of it than caches of instructions hold, unless loops over rows are left as such.
template <int kAhead, bool kGradients, class T, bool kVector>
__device__ __forceinline__ void prepare_rows(Params<T, kVector> const& p, Tile const& tile, int group, Rows& rows) {
    static_assert(kShareRows % kAhead == 0);
    Share const share(p, group);
    float bias[kQuad];
    load_parameters<kVector>(p.delta_is_dt ? nullptr : p.delta_bias, share, bias);
    InputReader<T, kVector> const reader(p, tile, share, true, kGradients);
    Inputs<T> next[kAhead];
#pragma unroll
    for (int k = 0; k < kAhead; ++k) {
        reader.read(share.row + k * kRowsAtOnce, next[k]);
    }
#pragma unroll 1
    for (int first = share.row; first < kTileRows; first += kAhead * kRowsAtOnce) {
#pragma unroll
        for (int k = 0; k < kAhead; ++k) {
            int const row = first + k * kRowsAtOnce;
            InputValues in(next[k]);
            reader.read(row + kAhead * kRowsAtOnce, next[k]); // nothing behind the tile
            prepare_row<kGradients>(p, in, bias, row < tile.rows ? share.count : 0, &rows.steps[row][share.channel],
                                    &rows.ds[row][share.channel]);
        }
    }
}

template <class Element, bool kVector>
__device__ __forceinline__ void load_states_as(Matrix<void const> const& matrix, Tile const& tile, int row, int n,
                                               int d_state, float (&to)[kQuad]) {
    auto const* const first = static_cast<Element const*>(matrix.data) + tile.begin * matrix.stride + n;
    auto const* const from = behind(first, row, tile.step * matrix.byte_stride);
    int const count = row < tile.rows ? min(max(d_state - n, 0), kQuad) : 0;
    unpack(load_quad<kVector>(from, count), to);
}

/// B or C of the states n .. n + 3 of kCount of a tile's rows; zeros for what is not there.
template <int kCount, class T, bool kVector>
__device__ __forceinline__ void load_states(Params<T, kVector> const& p, Matrix<void const> const& matrix,
                                            Tile const& tile, int first, int step, int n, float (&to)[kCount][kQuad]) {
    auto const load_as = [&](auto element) {
#pragma unroll
        for (int k = 0; k < kCount; ++k) {
            load_states_as<decltype(element), kVector>(matrix, tile, first + k * step, n, p.d_state, to[k]);
        }
    };
    p.states_are_bf16 ? load_as(__nv_bfloat16{}) : load_as(float{});
}

/// Bytes that come from device memory together.
constexpr int kSector = 32;

__device__ __forceinline__ void prefetch(void const* at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

/// Asks for what a CTA will read of a tile's rows, while it is busy with another tile.
template <bool kGradients, class T, bool kVector>
__device__ __forceinline__ void prefetch_rows(Params<T, kVector> const& p, Tile const& tile, int group) {
    constexpr int kStep = kSector / static_cast<int>(sizeof(T)); // channels
    constexpr int kParts = kChannels / kStep;
    static_assert(kThreads % kParts == 0);
#pragma unroll
    for (int k = 0; k < kTileRows; k += kThreads / kParts) {
        int const i = k + static_cast<int>(threadIdx.x) / kParts;
        int const e = group * kChannels + static_cast<int>(threadIdx.x) % kParts * kStep;
        if (i >= tile.rows || e >= p.d_inner) { continue; }
        index_t const row = tile.begin + static_cast<index_t>(tile.step) * i;
        prefetch(p.u.at(row, e));
        prefetch(p.delta.at(row, e));
        if (!kGradients) { continue; }
        prefetch(p.dy.at(row, e));
        if (p.z.exists()) { prefetch(p.z.at(row, e)); }
    }
    if (threadIdx.x < 2 * kTileRows) {
        int const i = static_cast<int>(threadIdx.x) % kTileRows;
        Matrix<void const> const& matrix = static_cast<int>(threadIdx.x) < kTileRows ? p.B : p.C;
        index_t const row = tile.begin + static_cast<index_t>(tile.step) * i;
        if (i < tile.rows) { prefetch(static_cast<char const*>(matrix.data) + row * matrix.byte_stride); }
    }
}

/// And h before it.
template <class T, bool kVector>
__device__ __forceinline__ void prefetch_states(Params<T, kVector> const& p, index_t block, int group) {
    constexpr int kStep = kSector / static_cast<int>(sizeof(float));
    constexpr int kParts = kChannels / kStep;
#pragma unroll
    for (int k = 0; k < kStates; k += kThreads / kParts) {
        int const n = k + static_cast<int>(threadIdx.x) / kParts;
        int const e = group * kChannels + static_cast<int>(threadIdx.x) % kParts * kStep;
        if (n < p.d_state && e < p.d_inner) { prefetch(p.states + p.before_tile(block, n) + e); }
    }
}

} // namespace strandwave::scan_backward
