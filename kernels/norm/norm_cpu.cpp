#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/norm/norm_cpu.h"

#include <cmath>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Sum of (x - mean), or of its square, over a row, in double: two chains of vectors, then the rest one by one.
double row_sum(float const* x, index_t n, double mean, bool square) {
    hn::ScalableTag<double> const d;
    hn::Rebind<float, decltype(d)> const df;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    auto const centre = hn::Set(d, mean);
    auto const one = hn::Set(d, 1.0);
    auto sum0 = hn::Zero(d);
    auto sum1 = hn::Zero(d);
    index_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        auto const v0 = hn::Sub(hn::PromoteTo(d, hn::LoadU(df, x + i)), centre);
        auto const v1 = hn::Sub(hn::PromoteTo(d, hn::LoadU(df, x + i + lanes)), centre);
        sum0 = hn::MulAdd(v0, square ? v0 : one, sum0);
        sum1 = hn::MulAdd(v1, square ? v1 : one, sum1);
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; i < n; ++i) {
        double const v = static_cast<double>(x[i]) - mean;
        sum += square ? v * v : v;
    }
    return sum;
}

template <class D>
HWY_INLINE void scale(D d, NormArgs const& a, float const* x, float mean, float factor, index_t c, float* y) {
    auto value = hn::Mul(hn::Sub(hn::LoadU(d, x + c), hn::Set(d, mean)), hn::Set(d, factor));
    if (!a.weight.empty()) { value = hn::Mul(value, hn::LoadU(d, a.weight.data + c)); }
    if (!a.bias.empty()) { value = hn::Add(value, hn::LoadU(d, a.bias.data + c)); }
    hn::StoreU(value, d, y + c);
}

void normalise(NormArgs const& a, bool centred) {
    hn::ScalableTag<float> const d;
    hn::CappedTag<float, 1> const d1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    auto const n = static_cast<double>(a.x.cols);
    for (index_t t = 0; t < a.x.rows; ++t) {
        float const* x = a.x.row(t);
        double const mean = centred ? row_sum(x, a.x.cols, 0.0, false) / n : 0.0;
        double const variance = row_sum(x, a.x.cols, mean, true) / n;
        auto const factor = static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(a.epsilon)));
        index_t c = 0;
        for (; c + lanes <= a.x.cols; c += lanes) {
            scale(d, a, x, static_cast<float>(mean), factor, c, a.y.row(t));
        }
        for (; c < a.x.cols; ++c) {
            scale(d1, a, x, static_cast<float>(mean), factor, c, a.y.row(t));
        }
    }
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(normalise);
void norm_cpu(NormArgs const& args, bool centred) { HWY_DYNAMIC_DISPATCH(normalise)(args, centred); }
} // namespace strandwave
#endif
