#include "kernels/causal_conv1d/causal_conv1d_reference.h"

#include <cmath>

namespace strandwave {
namespace {

/// The input i rows of time behind the segment's start; negative: from the carried ones.
float input(CausalConv1dArgs const& a, ConvSegment const& segment, index_t i, index_t c) {
    index_t const history = a.weight.rows - 1;
    if (i < 0) { return segment.initial == nullptr ? 0.0F : segment.initial[(history + i) * a.x.cols + c]; }
    return a.x(a.reverse ? segment.begin + segment.length - 1 - i : segment.begin + i, c);
}

} // namespace

template <class Real>
std::vector<Real> causal_conv1d_reference(CausalConv1dArgs const& a) {
    index_t const taps = a.weight.rows;
    std::vector<Real> y(static_cast<std::size_t>(a.x.rows * a.x.cols), Real{0});
    for (auto const& segment : a.segments) {
        for (index_t i = 0; i < segment.length; ++i) {
            index_t const t = a.reverse ? segment.begin + segment.length - 1 - i : segment.begin + i;
            for (index_t c = 0; c < a.x.cols; ++c) {
                Real sum = a.bias.empty() ? Real{0} : static_cast<Real>(a.bias(c));
                for (index_t k = 0; k < taps; ++k) {
                    sum +=
                        static_cast<Real>(a.weight(k, c)) * static_cast<Real>(input(a, segment, i - (taps - 1) + k, c));
                }
                y[static_cast<std::size_t>(t * a.x.cols + c)] = sum / (Real{1} + std::exp(-sum));
            }
        }
    }
    return y;
}

template std::vector<double> causal_conv1d_reference(CausalConv1dArgs const& args);
template std::vector<float> causal_conv1d_reference(CausalConv1dArgs const& args);

} // namespace strandwave
