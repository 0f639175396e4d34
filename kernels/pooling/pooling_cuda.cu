#include "kernels/pooling/pooling_cuda.h"

#include "kernels/cuda/element.cuh"

#include <cmath>

namespace strandwave {
namespace {

constexpr int kBatchRows = 8; ///< rows of a thread whose loads are under way at once

struct Segments {
    PoolSegment const* data;
    index_t count;
};

/// As std::max: of equal ones the first.
template <class T>
__device__ T larger(T a, T b) {
    return a < b ? b : a;
}

template <bool Max, class T>
__device__ T start_value() {
    return Max ? static_cast<T>(-INFINITY) : T{0};
}

/// Where the partial sums of a segment begin: one for each kPoolRows of its rows. They do not run into those of the
/// next segment s + 1, which begins at or behind the row begin + length: ceil(length / 64) is at most floor((begin +
/// length) / 64) - floor(begin / 64) + 1.
__device__ index_t first_partial(PoolSegment const& segment, index_t s) { return segment.begin / kPoolRows + s; }

/// The last segment whose partial sums begin at or before `partial`; -1 if there is none.
__device__ index_t segment_of(Segments const& segments, index_t partial) {
    index_t before = -1;
    index_t behind = segments.count;
    while (behind - before > 1) {
        index_t const s = (before + behind) / 2;
        (first_partial(segments.data[s], s) <= partial ? before : behind) = s;
    }
    return before;
}

/// A thread sums V channels of up to kPoolRows rows.
template <class X, int V, bool Max>
__global__ void __launch_bounds__(kThreads)
    pool_groups(DeviceMatrix const x, Segments const segments, index_t partials, float* partial) {
    index_t const channel = group_index() * V;
    index_t const p = row_index();
    if (p >= partials || channel >= x.cols) { return; }
    index_t const s = segment_of(segments, p);
    if (s < 0) { return; }
    PoolSegment const segment = segments.data[s];
    index_t const done = (p - first_partial(segment, s)) * kPoolRows;
    if (done >= segment.length) { return; }
    auto const rows = static_cast<int>(min(kPoolRows, segment.length - done));
    X const* from = static_cast<X const*>(x.data) + (segment.begin + done) * x.row_stride + channel;
    float result[V];
    for (int v = 0; v < V; ++v) {
        result[v] = start_value<Max, float>();
    }
    for (int first = 0; first < rows; first += kBatchRows) {
        Packed<X, V> batch[kBatchRows];
#pragma unroll
        for (int i = 0; i < kBatchRows; ++i, from += x.row_stride) {
            if (first + i < rows) { batch[i] = load_packed<V>(from); }
        }
#pragma unroll
        for (int i = 0; i < kBatchRows; ++i) {
            if (first + i >= rows) { break; }
            float values[V];
            unpack(batch[i], values);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                result[v] = Max ? larger(result[v], values[v]) : result[v] + values[v];
            }
        }
    }
    store(result, partial + p * x.cols + channel);
}

constexpr int kFoldChannels = 32; ///< a warp
constexpr int kFoldLoaders = 4;   ///< warps
constexpr int kFoldLoads = 16;    ///< of a thread, under way at once
constexpr int kFoldRows = kFoldLoaders * kFoldLoads;

using FoldTile = float[kFoldRows][kFoldChannels];

/// Every kFoldLoaders-th of the first `rows` rows behind `from`, the row of this loader.
__device__ void load_tile(float const* from, index_t d, int loader, int rows, FoldTile& tile) {
    float loaded[kFoldLoads];
#pragma unroll
    for (int i = 0; i < kFoldLoads; ++i, from += kFoldLoaders * d) {
        if (i * kFoldLoaders + loader < rows) { loaded[i] = *from; }
    }
#pragma unroll
    for (int i = 0; i < kFoldLoads; ++i) {
        int const row = i * kFoldLoaders + loader;
        if (row < rows) { tile[row][threadIdx.x] = loaded[i]; }
    }
}

template <bool Max>
__device__ double add_tile(double result, int rows, FoldTile const& tile) {
#pragma unroll 8
    for (int i = 0; i < rows; ++i) {
        auto const value = static_cast<double>(tile[i][threadIdx.x]);
        result = Max ? larger(result, value) : result + value;
    }
    return result;
}

/// Adds a segment's partial sums to its state in order of rows. That order cannot be shared out: one warp adds, from
/// shared memory, while the others load what it needs next.
template <bool Max>
__global__ void __launch_bounds__(kFoldChannels*(kFoldLoaders + 1))
    fold(Segments const segments, index_t d, float const* partial, double* state) {
    __shared__ FoldTile tiles[2];
    int const loader = static_cast<int>(threadIdx.y) - 1;
    index_t const s = blockIdx.x;
    index_t const channel = static_cast<index_t>(blockIdx.y) * kFoldChannels + threadIdx.x;
    bool const inside = channel < d;
    bool const adds = loader < 0 && inside;
    bool const loads = loader >= 0 && inside;
    PoolSegment const segment = segments.data[s];
    index_t const groups = (segment.length + kPoolRows - 1) / kPoolRows;
    if (groups == 0) { return; }
    float const* from = partial + (first_partial(segment, s) + loader) * d + channel;
    double* to = state + segment.slot * d + channel;
    double result = start_value<Max, double>();
    if (adds && segment.seen > 0) { result = *to; }

    auto const rows_of = [&](index_t done) { return static_cast<int>(min(groups - done, index_t{kFoldRows})); };
    int tile = 0;
    if (loads) { load_tile(from, d, loader, rows_of(0), tiles[tile]); }
    for (index_t done = 0; done < groups; done += kFoldRows, tile = 1 - tile) {
        __syncthreads();
        index_t const next = done + kFoldRows;
        if (adds) { result = add_tile<Max>(result, rows_of(done), tiles[tile]); }
        if (loads && next < groups) { load_tile(from + next * d, d, loader, rows_of(next), tiles[1 - tile]); }
    }
    if (adds) { *to = result; }
}

/// The vector of a segment's first row, if the record starts there, or of its last row.
template <class X>
__global__ void __launch_bounds__(kThreads)
    pool_row(DeviceMatrix const x, Segments const segments, bool last, double* state) {
    if (row_index() >= segments.count || group_index() >= x.cols) { return; }
    PoolSegment const segment = segments.data[row_index()];
    if (segment.length == 0 || (!last && segment.seen > 0)) { return; }
    index_t const row = last ? segment.begin + segment.length - 1 : segment.begin;
    float value[1];
    load(static_cast<X const*>(x.data) + row * x.row_stride + group_index(), value);
    state[segment.slot * x.cols + group_index()] = static_cast<double>(value[0]);
}

template <class X, bool Max>
void launch(DeviceMatrix x, Segments segments, double* state, float* partial, GpuStream stream) {
    index_t const partials = x.rows / kPoolRows + segments.count;
    if (in_quads(x) && in_quads(partial)) {
        ChannelGrid const g(partials, x.cols / kQuad);
        pool_groups<X, kQuad, Max><<<g.grid, g.threads, 0, stream>>>(x, segments, partials, partial);
    } else {
        ChannelGrid const g(partials, x.cols);
        pool_groups<X, 1, Max><<<g.grid, g.threads, 0, stream>>>(x, segments, partials, partial);
    }
    check_launch("pooling");
    dim3 const grid(static_cast<unsigned>(segments.count),
                    static_cast<unsigned>((x.cols + kFoldChannels - 1) / kFoldChannels));
    fold<Max><<<grid, dim3(kFoldChannels, kFoldLoaders + 1), 0, stream>>>(segments, x.cols, partial, state);
    check_launch("pooling, sums");
}

template <class X>
void launch_row(DeviceMatrix x, Segments segments, bool last, double* state, GpuStream stream) {
    ChannelGrid const g(segments.count, x.cols);
    pool_row<X><<<g.grid, g.threads, 0, stream>>>(x, segments, last, state);
    check_launch("pooling");
}

} // namespace

void pool_cuda(Pooling pooling, DeviceMatrix x, PoolSegment const* segments, index_t count, double* state,
               float* partial, GpuStream stream) {
    if (count == 0 || x.empty()) { return; }
    Segments const all{segments, count};
    with_element("pooling", x.dtype, [&](auto zero) {
        using X = decltype(zero);
        switch (pooling) {
        case Pooling::mean: return launch<X, false>(x, all, state, partial, stream);
        case Pooling::max: return launch<X, true>(x, all, state, partial, stream);
        case Pooling::first: return launch_row<X>(x, all, false, state, stream);
        case Pooling::last: return launch_row<X>(x, all, true, state, stream);
        }
    });
}

} // namespace strandwave
