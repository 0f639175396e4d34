#include "kernels/pooling/segment_pooling.h"

#include "lib/core/check.h"

#include <algorithm>
#include <string>
#include <vector>

namespace strandwave {
namespace {

void check_segments(std::span<PooledSegment const> segments, index_t rows, index_t outs) {
    index_t end = 0;
    for (auto const& segment : segments) {
        check_rows("segment_pooling", segment.begin, segment.length, rows);
        if (segment.begin < end) {
            throw Error(ErrorCode::shape_mismatch,
                        "segment_pooling: a segment begins at row " + std::to_string(segment.begin) +
                            ", before the one in front of it ends (" + std::to_string(end) + ")");
        }
        end = segment.begin + segment.length;
        if (segment.out < 0 || segment.out >= outs) {
            throw Error(ErrorCode::shape_mismatch, "segment_pooling: a segment goes to row " +
                                                       std::to_string(segment.out) + " of " + std::to_string(outs));
        }
    }
}

void clear(View<float, 2> matrix) {
    for (index_t r = 0; r < matrix.rows; ++r) {
        std::fill_n(matrix.row(r), matrix.cols, 0.0F);
    }
}

index_t first_row_of_largest(View<float const, 2> x, PooledSegment const& segment, index_t channel) {
    index_t best = segment.begin;
    for (index_t t = segment.begin; t < segment.begin + segment.length; ++t) {
        if (x(t, channel) > x(best, channel)) { best = t; }
    }
    return best;
}

} // namespace

void segment_pooling(SegmentPoolingArgs const& a) {
    check_extent("segment_pooling", "channels of pooled", a.pooled.cols, a.x.cols);
    check_segments(a.segments, a.x.rows, a.pooled.rows);
    clear(a.pooled);
    std::vector<double> state(static_cast<std::size_t>(a.x.cols));
    std::vector<float> pooled(state.size());
    for (auto const& segment : a.segments) {
        if (segment.length == 0) { continue; }
        pool_accumulate(a.pooling, a.x.rows_from(segment.begin, segment.length), 0, {state.data(), a.x.cols});
        pool_finish(a.pooling, {state.data(), a.x.cols}, segment.length, {pooled.data(), a.x.cols});
        for (index_t c = 0; c < a.x.cols; ++c) {
            a.pooled(segment.out, c) += segment.factor * pooled[static_cast<std::size_t>(c)];
        }
    }
}

void segment_pooling_backward(SegmentPoolingBackwardArgs const& a) {
    check_extent("segment_pooling_backward", "channels of dx", a.dx.cols, a.dpooled.cols);
    if (a.pooling == Pooling::max) { check_matrix("segment_pooling_backward", "x", a.x, a.dx.rows, a.dx.cols); }
    check_segments(a.segments, a.dx.rows, a.dpooled.rows);
    clear(a.dx);
    for (auto const& segment : a.segments) {
        if (segment.length == 0) { continue; }
        bool const mean = a.pooling == Pooling::mean;
        float const factor = mean ? segment.factor / static_cast<float>(segment.length) : segment.factor;
        index_t const first = a.pooling == Pooling::last ? segment.begin + segment.length - 1 : segment.begin;
        index_t const end = mean ? segment.begin + segment.length : first + 1;
        for (index_t c = 0; c < a.dx.cols; ++c) {
            float const gradient = factor * a.dpooled(segment.out, c);
            if (a.pooling == Pooling::max) {
                a.dx(first_row_of_largest(a.x, segment, c), c) = gradient;
                continue;
            }
            for (index_t t = first; t < end; ++t) {
                a.dx(t, c) = gradient;
            }
        }
    }
}

} // namespace strandwave
