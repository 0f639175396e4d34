#include "kernels/pooling/segment_pooling_cuda.h"

#include "kernels/cuda/element.cuh"
#include "lib/core/check.h"

#include <cmath>
#include <string>

namespace strandwave {
namespace {

constexpr index_t kSumRows = 64; ///< of a partial sum
constexpr int kBatchRows = 8;    ///< rows of a thread whose loads are under way at once

struct Segments {
    PooledSegment const* data;
    index_t count;
};

/// Where the partial sums of a segment begin, as in pooling_cuda.cu: those of segments in order do not meet.
__device__ index_t first_partial(PooledSegment const& segment, index_t s) { return segment.begin / kSumRows + s; }

/// The last segment for which `before_or_at` holds, of a list in which it holds up to some segment; -1: for none.
template <class Condition>
__device__ index_t last_segment(Segments const& segments, Condition const& before_or_at) {
    index_t before = -1;
    index_t behind = segments.count;
    while (behind - before > 1) {
        index_t const s = (before + behind) / 2;
        (before_or_at(segments.data[s], s) ? before : behind) = s;
    }
    return before;
}

template <bool Max>
__device__ float combined(float a, float b) {
    if constexpr (Max) { return a < b ? b : a; }
    return a + b;
}

/// A thread sums V channels of up to kSumRows rows of a segment, or takes their maximum.
template <class X, int V, bool Max>
__global__ void __launch_bounds__(kThreads)
    pool_runs(DeviceMatrix const x, Segments const segments, index_t partials, float* partial) {
    index_t const channel = group_index() * V;
    index_t const p = row_index();
    if (p >= partials || channel >= x.cols) { return; }
    index_t const s =
        last_segment(segments, [&](PooledSegment const& segment, index_t i) { return first_partial(segment, i) <= p; });
    if (s < 0) { return; }
    PooledSegment const segment = segments.data[s];
    index_t const done = (p - first_partial(segment, s)) * kSumRows;
    if (done >= segment.length) { return; }
    auto const rows = static_cast<int>(min(kSumRows, segment.length - done));
    X const* from = static_cast<X const*>(x.data) + (segment.begin + done) * x.row_stride + channel;
    float result[V];
    for (int v = 0; v < V; ++v) {
        result[v] = Max ? -INFINITY : 0.0F;
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
                result[v] = combined<Max>(result[v], values[v]);
            }
        }
    }
    store(result, partial + p * x.cols + channel);
}

constexpr int kFoldChannels = 32; ///< a warp
constexpr int kFolds = 8;         ///< warps; each takes every kFolds-th partial sum

/// The pooled value of a segment's channel, from its partial sums, in the threads with threadIdx.y == 0. All threads of
/// the block call it.
template <bool Max>
__device__ float fold_segment(PooledSegment const& segment, index_t s, float const* partial, index_t d,
                              index_t channel) {
    __shared__ double parts[kFolds][kFoldChannels];
    index_t const runs = (segment.length + kSumRows - 1) / kSumRows;
    double value = Max ? static_cast<double>(-INFINITY) : 0.0;
    float const* from = partial + first_partial(segment, s) * d + channel;
#pragma unroll 4
    for (index_t run = threadIdx.y; run < runs; run += kFolds) {
        if (channel >= d) { break; }
        auto const next = static_cast<double>(from[run * d]);
        value = Max ? fmax(value, next) : value + next;
    }
    __syncthreads(); // the parts of the segment before are read
    parts[threadIdx.y][threadIdx.x] = value;
    __syncthreads();
    for (int fold = 1; threadIdx.y == 0 && fold < kFolds; ++fold) {
        double const next = parts[fold][threadIdx.x];
        value = Max ? fmax(value, next) : value + next;
    }
    return static_cast<float>(Max ? value : value / static_cast<double>(segment.length));
}

/// A block has one row of `pooled` and goes through all segments in order for those that go there.
template <bool Max>
__global__ void __launch_bounds__(kFoldChannels* kFolds)
    add_segments(Segments const segments, float const* partial, DeviceMatrix const pooled) {
    index_t const out = blockIdx.x;
    index_t const channel = static_cast<index_t>(blockIdx.y) * kFoldChannels + threadIdx.x;
    float sum = 0.0F;
    for (index_t s = 0; s < segments.count; ++s) {
        if (segments.data[s].out != out || segments.data[s].length == 0) { continue; }
        PooledSegment const segment = segments.data[s];
        sum += segment.factor * fold_segment<Max>(segment, s, partial, pooled.cols, channel);
    }
    if (threadIdx.y == 0 && channel < pooled.cols) {
        static_cast<float*>(pooled.data)[out * pooled.row_stride + channel] = sum;
    }
}

/// The same for poolings that take one row of a segment.
template <class X>
__global__ void __launch_bounds__(kThreads)
    add_rows(DeviceMatrix const x, Segments const segments, bool last, DeviceMatrix const pooled) {
    index_t const out = row_index();
    index_t const channel = group_index();
    if (out >= pooled.rows || channel >= pooled.cols) { return; }
    float sum = 0.0F;
    for (index_t s = 0; s < segments.count; ++s) {
        if (segments.data[s].out != out || segments.data[s].length == 0) { continue; }
        PooledSegment const segment = segments.data[s];
        index_t const row = last ? segment.begin + segment.length - 1 : segment.begin;
        float value[1];
        load(static_cast<X const*>(x.data) + row * x.row_stride + channel, value);
        sum += segment.factor * value[0];
    }
    static_cast<float*>(pooled.data)[out * pooled.row_stride + channel] = sum;
}

/// Every row of dx, V channels a thread; for max only zeros.
template <class X, int V>
__global__ void __launch_bounds__(kThreads) spread(SegmentPoolingBackwardCudaArgs const a, Segments const segments) {
    index_t const row = row_index();
    index_t const channel = group_index() * V;
    if (row >= a.dx.rows || channel >= a.dx.cols) { return; }
    float values[V] = {};
    index_t const s = last_segment(segments, [&](PooledSegment const& g, index_t) { return g.begin <= row; });
    if (a.pooling != Pooling::max && s >= 0) {
        PooledSegment const segment = segments.data[s];
        index_t const offset = row - segment.begin;
        bool const mean = a.pooling == Pooling::mean;
        index_t const wanted = a.pooling == Pooling::last ? segment.length - 1 : 0;
        if (offset < segment.length && (mean || offset == wanted)) {
            float const factor = mean ? __fdiv_rn(segment.factor, static_cast<float>(segment.length)) : segment.factor;
            load(static_cast<float const*>(a.dpooled.data) + segment.out * a.dpooled.row_stride + channel, values);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                values[v] *= factor;
            }
        }
    }
    store(values, static_cast<X*>(a.dx.data) + row * a.dx.row_stride + channel);
}

/// Behind spread(): where the maximum of each channel of a segment is. Each warp looks at every kFolds-th row.
template <class X, class Dx>
__global__ void __launch_bounds__(kFoldChannels* kFolds)
    spread_max(SegmentPoolingBackwardCudaArgs const a, Segments const segments) {
    __shared__ float largest[kFolds][kFoldChannels];
    __shared__ index_t places[kFolds][kFoldChannels];
    PooledSegment const segment = segments.data[blockIdx.x];
    index_t const channel = static_cast<index_t>(blockIdx.y) * kFoldChannels + threadIdx.x;
    bool const inside = channel < a.dx.cols;
    float best = -INFINITY;
    index_t place = -1; // none yet
    X const* x = static_cast<X const*>(a.x.data) + segment.begin * a.x.row_stride + channel;
#pragma unroll 4
    for (index_t t = threadIdx.y; t < segment.length; t += kFolds) {
        if (!inside) { break; }
        float value[1];
        load(x + t * a.x.row_stride, value);
        if (place < 0 || value[0] > best) {
            best = value[0];
            place = t;
        }
    }
    largest[threadIdx.y][threadIdx.x] = best;
    places[threadIdx.y][threadIdx.x] = place;
    __syncthreads();
    if (threadIdx.y != 0 || place < 0) { return; }
    for (int fold = 1; fold < kFolds; ++fold) {
        float const value = largest[fold][threadIdx.x];
        index_t const at = places[fold][threadIdx.x];
        if (at >= 0 && (value > best || (value == best && at < place))) {
            best = value;
            place = at;
        }
    }
    float const gradient[1] = {segment.factor *
                               static_cast<float const*>(a.dpooled.data)[segment.out * a.dpooled.row_stride + channel]};
    store(gradient, static_cast<Dx*>(a.dx.data) + (segment.begin + place) * a.dx.row_stride + channel);
}

dim3 channel_tiles(index_t rows, index_t channels) {
    return {static_cast<unsigned>(rows), static_cast<unsigned>((channels + kFoldChannels - 1) / kFoldChannels)};
}

template <class X, bool Max>
void launch_folds(SegmentPoolingCudaArgs const& a, Segments segments, GpuStream stream) {
    index_t const partials = a.x.rows / kSumRows + a.count;
    if (partials > 0) {
        if (in_quads(a.x) && in_quads(a.scratch)) {
            ChannelGrid const g(partials, a.x.cols / kQuad);
            pool_runs<X, kQuad, Max><<<g.grid, g.threads, 0, stream>>>(a.x, segments, partials, a.scratch);
        } else {
            ChannelGrid const g(partials, a.x.cols);
            pool_runs<X, 1, Max><<<g.grid, g.threads, 0, stream>>>(a.x, segments, partials, a.scratch);
        }
        check_launch("segment_pooling");
    }
    add_segments<Max><<<channel_tiles(a.pooled.rows, a.pooled.cols), dim3(kFoldChannels, kFolds), 0, stream>>>(
        segments, a.scratch, a.pooled);
    check_launch("segment_pooling, sums");
}

template <class X>
void launch_rows(SegmentPoolingCudaArgs const& a, Segments segments, GpuStream stream) {
    ChannelGrid const g(a.pooled.rows, a.pooled.cols);
    add_rows<X><<<g.grid, g.threads, 0, stream>>>(a.x, segments, a.pooling == Pooling::last, a.pooled);
    check_launch("segment_pooling");
}

void check_f32(char const* what, DeviceMatrix const& matrix) {
    if (matrix.dtype == DType::f32) { return; }
    throw Error(ErrorCode::unsupported, std::string("segment_pooling: ") + what + " is f32 on the GPU, not " +
                                            std::string(dtype_name(matrix.dtype)));
}

} // namespace

index_t segment_pooling_scratch_floats(index_t rows, index_t segments, index_t d) {
    return (rows / kSumRows + segments) * d;
}

void segment_pooling_cuda(SegmentPoolingCudaArgs const& args, GpuStream stream) {
    check_extent("segment_pooling", "channels of pooled", args.pooled.cols, args.x.cols);
    check_f32("pooled", args.pooled);
    if (args.pooled.empty()) { return; }
    Segments const segments{args.segments, args.count};
    with_element("segment_pooling", args.x.dtype, [&](auto zero) {
        using X = decltype(zero);
        switch (args.pooling) {
        case Pooling::mean: return launch_folds<X, false>(args, segments, stream);
        case Pooling::max: return launch_folds<X, true>(args, segments, stream);
        case Pooling::first:
        case Pooling::last: return launch_rows<X>(args, segments, stream);
        }
    });
}

namespace {

template <class Dx>
void launch_spread(SegmentPoolingBackwardCudaArgs const& a, Segments segments, GpuStream stream) {
    if (in_quads(a.dx) && in_quads(a.dpooled)) {
        ChannelGrid const g(a.dx.rows, a.dx.cols / kQuad);
        spread<Dx, kQuad><<<g.grid, g.threads, 0, stream>>>(a, segments);
    } else {
        ChannelGrid const g(a.dx.rows, a.dx.cols);
        spread<Dx, 1><<<g.grid, g.threads, 0, stream>>>(a, segments);
    }
    check_launch("segment_pooling_backward");
    if (a.pooling != Pooling::max || a.count == 0) { return; }
    with_element("segment_pooling_backward", a.x.dtype, [&](auto zero) {
        spread_max<decltype(zero), Dx>
            <<<channel_tiles(a.count, a.dx.cols), dim3(kFoldChannels, kFolds), 0, stream>>>(a, segments);
    });
    check_launch("segment_pooling_backward, max");
}

} // namespace

void segment_pooling_backward_cuda(SegmentPoolingBackwardCudaArgs const& args, GpuStream stream) {
    check_extent("segment_pooling_backward", "channels of dx", args.dx.cols, args.dpooled.cols);
    check_f32("dpooled", args.dpooled);
    if (args.pooling == Pooling::max) {
        check_extent("segment_pooling_backward", "rows of x", args.x.rows, args.dx.rows);
        check_extent("segment_pooling_backward", "channels of x", args.x.cols, args.dx.cols);
    }
    if (args.dx.empty()) { return; }
    Segments const segments{args.segments, args.count};
    with_element("segment_pooling_backward", args.dx.dtype,
                 [&](auto zero) { launch_spread<decltype(zero)>(args, segments, stream); });
}

} // namespace strandwave
