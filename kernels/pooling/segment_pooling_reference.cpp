#include "kernels/pooling/segment_pooling_reference.h"

#include <algorithm>

namespace strandwave {

template <class Real>
std::vector<Real> segment_pooling_reference(Pooling pooling, std::vector<Real> const& x, index_t cols,
                                            std::span<PooledSegment const> segments, index_t outs) {
    std::vector<Real> pooled(static_cast<std::size_t>(outs * cols));
    for (auto const& s : segments) {
        for (index_t c = 0; s.length > 0 && c < cols; ++c) {
            auto const at = [&](index_t row) { return x[static_cast<std::size_t>(row * cols + c)]; };
            Real sum = 0;
            Real largest = at(s.begin);
            for (index_t t = s.begin; t < s.begin + s.length; ++t) {
                sum += at(t);
                largest = std::max(largest, at(t));
            }
            Real const value = pooling == Pooling::mean   ? sum / static_cast<Real>(s.length)
                               : pooling == Pooling::max  ? largest
                               : pooling == Pooling::last ? at(s.begin + s.length - 1)
                                                          : at(s.begin);
            pooled[static_cast<std::size_t>(s.out * cols + c)] += static_cast<Real>(s.factor) * value;
        }
    }
    return pooled;
}

template std::vector<double> segment_pooling_reference(Pooling, std::vector<double> const&, index_t,
                                                       std::span<PooledSegment const>, index_t);
template std::vector<float> segment_pooling_reference(Pooling, std::vector<float> const&, index_t,
                                                      std::span<PooledSegment const>, index_t);

} // namespace strandwave
