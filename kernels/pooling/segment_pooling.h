#pragma once

#include "kernels/pooling/pooling.h"

#include <span>

namespace strandwave {

/// Rows of one record, or of one of its strands, and where their pooled vector goes.
struct PooledSegment {
    index_t begin = 0;
    index_t length = 0;  ///< rows; 0: adds nothing
    index_t out = 0;     ///< row of `pooled`
    float factor = 1.0F; ///< 0.5 for the mean of two strands
};

/// pooling.h for whole records at once, as training needs it:
///   pooled[o] = sum over segments s with out == o, in order, of factor_s * pool(x[begin_s .. begin_s + length_s))
/// Rows of `pooled` that no segment names are 0. Segments are in order of rows and do not overlap.
/// Shapes: x `[T, d]`, pooled `[n, d]`. Precision: means are summed in double, segments in fp32. Determinism: the same
/// bits every run. Throws: shape_mismatch (also segments out of order).
struct SegmentPoolingArgs {
    Pooling pooling = Pooling::mean;
    View<float const, 2> x; ///< [T, d]
    std::span<PooledSegment const> segments;
    View<float, 2> pooled; ///< [n, d]
};

void segment_pooling(SegmentPoolingArgs const& args);

/// The gradient of segment_pooling. All rows of dx are written:
///   mean: dx[t] = factor / length * dpooled[out]    first, last: factor * dpooled[out] in that row, else 0
///   max: factor * dpooled[out], channel by channel, in the first row that has the maximum, else 0
/// Rows of no segment get 0. Aliasing: dx overlaps neither x nor dpooled.
struct SegmentPoolingBackwardArgs {
    Pooling pooling = Pooling::mean;
    View<float const, 2> x; ///< [T, d]; read for max only, else may be empty
    std::span<PooledSegment const> segments;
    View<float const, 2> dpooled; ///< [n, d]
    View<float, 2> dx;            ///< [T, d]
};

void segment_pooling_backward(SegmentPoolingBackwardArgs const& args);

} // namespace strandwave
