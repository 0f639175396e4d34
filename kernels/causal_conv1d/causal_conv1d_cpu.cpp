#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/causal_conv1d/causal_conv1d_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/causal_conv1d/causal_conv1d_cpu.h"
#include "kernels/simd/vector_math-inl.h"

#include <algorithm>
#include <array>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// One output row for the channels [c, c + Lanes): the taps' rows come oldest first.
template <class D>
HWY_INLINE void convolve(D d, CausalConv1dArgs const& a, float const* const* taps, index_t c, float* y) {
    auto sum = a.bias.empty() ? hn::Zero(d) : hn::LoadU(d, a.bias.data + c);
    for (index_t k = 0; k < a.weight.rows; ++k) {
        sum = hn::MulAdd(hn::LoadU(d, a.weight.row(k) + c), hn::LoadU(d, taps[k] + c), sum);
    }
    hn::StoreU(Silu(d, sum), d, y + c);
}

void convolve_row(CausalConv1dArgs const& a, float const* const* taps, float* y) {
    hn::ScalableTag<float> const d;
    hn::CappedTag<float, 1> const d1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    index_t c = 0;
    for (; c + lanes <= a.x.cols; c += lanes) {
        convolve(d, a, taps, c, y);
    }
    for (; c < a.x.cols; ++c) {
        convolve(d1, a, taps, c, y);
    }
}

/// The input `back` rows of time before row `i` of the segment (i counts in the order of time).
float const* input_row(CausalConv1dArgs const& a, ConvSegment const& segment, float const* before, index_t i) {
    if (i < 0) { return before + (a.weight.rows - 1 + i) * a.x.cols; }
    return a.x.row(a.reverse ? segment.begin + segment.length - 1 - i : segment.begin + i);
}

void convolve_segment(CausalConv1dArgs const& a, ConvSegment const& segment, float const* zeros) {
    index_t const history = a.weight.rows - 1;
    float const* before = segment.initial != nullptr ? segment.initial : zeros;
    std::array<float const*, kMaxConv> taps{};
    for (index_t i = 0; i < segment.length; ++i) {
        for (index_t k = 0; k <= history; ++k) {
            taps[k] = input_row(a, segment, before, i - history + k);
        }
        convolve_row(a, taps.data(), a.y.row(a.reverse ? segment.begin + segment.length - 1 - i : segment.begin + i));
    }
    if (segment.final == nullptr) { return; }
    // Oldest first: when final is initial, each row is read before it is overwritten.
    for (index_t k = 0; k < history; ++k) {
        float const* row = input_row(a, segment, before, segment.length - history + k);
        std::copy(row, row + a.x.cols, segment.final + k * a.x.cols);
    }
}

void conv(CausalConv1dArgs const& a) {
    std::vector<float> const zeros((a.weight.rows - 1) * a.x.cols, 0.0F);
    for (auto const& segment : a.segments) {
        convolve_segment(a, segment, zeros.data());
    }
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(conv);
void causal_conv1d_cpu(CausalConv1dArgs const& args) { HWY_DYNAMIC_DISPATCH(conv)(args); }
} // namespace strandwave
#endif
