#pragma once

#include "kernels/pooling/segment_pooling.h"

#include <vector>

namespace strandwave {

/// The formula of segment_pooling.h as plain loops in `Real` (double or float): pooled `[outs, cols]` of x `[rows,
/// cols]` without gaps.
template <class Real>
std::vector<Real> segment_pooling_reference(Pooling pooling, std::vector<Real> const& x, index_t cols,
                                            std::span<PooledSegment const> segments, index_t outs);

} // namespace strandwave
