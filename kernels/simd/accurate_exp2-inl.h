// Vector exp2 as good as the C library's, compiled once per instruction set (Highway's foreach_target). Not a normal
// header: include it only from a kernel's .cpp, after hwy/highway.h.
#if defined(STRANDWAVE_ACCURATE_EXP2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRANDWAVE_ACCURATE_EXP2_INL_H_
#undef STRANDWAVE_ACCURATE_EXP2_INL_H_
#else
#define STRANDWAVE_ACCURATE_EXP2_INL_H_
#endif

#include "kernels/simd/vector_math-inl.h"

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Exp2 of vector_math-inl.h with one term more: the polynomial is within 9.2e-9 instead of 9.1e-8, far below the
/// rounding of the last operation. For gradients, that sum many products of decays: the error of the shorter polynomial
/// has a sign of its own for each argument, and sums keep it. Range and saturation are those of Exp2. Polynomial:
/// interpolates (2^f - 1) / f at the Chebyshev nodes of [-1/2, 1/2].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AccurateExp2(D d, V x) {
#if HWY_TARGET <= HWY_AVX3
    V const nearest = hn::Round(x);
#else
    x = hn::Min(hn::Max(x, hn::Set(d, -126.0F)), hn::Set(d, 127.0F));
    V const magic = hn::Set(d, 12582912.0F);
    V const shifted = hn::Add(x, magic);
    V const nearest = hn::Sub(shifted, magic);
#endif
    V const f = hn::Sub(x, nearest);
    V p = hn::Set(d, 0x1.44138ap-13F);
    p = hn::MulAdd(p, f, hn::Set(d, 0x1.5f089p-10F));
    p = hn::MulAdd(p, f, hn::Set(d, 0x1.3b2a54p-7F));
    p = hn::MulAdd(p, f, hn::Set(d, 0x1.c6af6cp-5F));
    p = hn::MulAdd(p, f, hn::Set(d, 0x1.ebfbep-3F));
    p = hn::MulAdd(p, f, hn::Set(d, 0x1.62e43p-1F));
    p = hn::MulAdd(p, f, hn::Set(d, 1.0F));
#if HWY_TARGET <= HWY_AVX3
    return ScaleByPower2(p, nearest);
#else
    hn::RebindToSigned<D> const di;
    return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
#endif
}

} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#endif
