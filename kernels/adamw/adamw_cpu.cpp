#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw/adamw_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/adamw/adamw_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// One vector of elements. No fused multiply-adds, as on the GPU: their bits agree.
template <class D>
HWY_INLINE void update(D d, AdamWArgs const& a, AdamWFactors const& f, bool decays, index_t i) {
    auto const g = hn::Mul(hn::LoadU(d, a.gradients + i), hn::Set(d, f.clip));
    auto const m = hn::Add(hn::Mul(hn::Set(d, f.beta1), hn::LoadU(d, a.moment1 + i)), hn::Mul(hn::Set(d, f.rest1), g));
    auto const v =
        hn::Add(hn::Mul(hn::Set(d, f.beta2), hn::LoadU(d, a.moment2 + i)), hn::Mul(hn::Set(d, f.rest2), hn::Mul(g, g)));
    auto const divisor = hn::Add(hn::Div(hn::Sqrt(v), hn::Set(d, f.root)), hn::Set(d, f.epsilon));
    auto p = hn::LoadU(d, a.parameters + i);
    if (decays) { p = hn::Mul(p, hn::Set(d, f.decay)); }
    p = hn::Sub(p, hn::Mul(hn::Set(d, f.rate), hn::Div(m, divisor)));
    hn::StoreU(m, d, a.moment1 + i);
    hn::StoreU(v, d, a.moment2 + i);
    hn::StoreU(p, d, a.parameters + i);
    if (a.average != nullptr) {
        auto const average = hn::LoadU(d, a.average + i);
        auto const towards = hn::Mul(hn::Set(d, f.average_rate), hn::Sub(p, average));
        hn::StoreU(hn::Add(average, towards), d, a.average + i);
    }
}

void adamw_blocks(AdamWArgs const& a, AdamWFactors const& f) {
    hn::CappedTag<float, static_cast<std::size_t>(kParameterBlock)> const d; // its lanes divide a block
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t block = 0; block < a.count / kParameterBlock; ++block) {
        if ((a.flags[block] & kTrainable) == 0) { continue; }
        bool const decays = (a.flags[block] & kWeightDecay) != 0;
        for (index_t i = 0; i < kParameterBlock; i += lanes) {
            update(d, a, f, decays, block * kParameterBlock + i);
        }
    }
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(adamw_blocks);
void adamw_cpu(AdamWArgs const& args, AdamWFactors const& factors) {
    HWY_DYNAMIC_DISPATCH(adamw_blocks)(args, factors);
}
} // namespace strandwave
#endif
