// Vector exp2, softplus and silu, compiled once per instruction set (Highway's foreach_target). Not a normal header:
// include it only from a kernel's .cpp, after hwy/highway.h.
#if defined(STRANDWAVE_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRANDWAVE_VECTOR_MATH_INL_H_
#undef STRANDWAVE_VECTOR_MATH_INL_H_
#else
#define STRANDWAVE_VECTOR_MATH_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr float kLog2E = 1.44269504F;

#if HWY_TARGET <= HWY_AVX3
/// x * 2^n for integral n: one instruction, and right for every exponent.
HWY_INLINE hn::Vec512<float> ScaleByPower2(hn::Vec512<float> x, hn::Vec512<float> n) {
    return hn::Vec512<float>{_mm512_scalef_ps(x.raw, n.raw)};
}
HWY_INLINE hn::Vec256<float> ScaleByPower2(hn::Vec256<float> x, hn::Vec256<float> n) {
    return hn::Vec256<float>{_mm256_scalef_ps(x.raw, n.raw)};
}
template <size_t N>
HWY_INLINE hn::Vec128<float, N> ScaleByPower2(hn::Vec128<float, N> x, hn::Vec128<float, N> n) {
    return hn::Vec128<float, N>{_mm_scalef_ps(x.raw, n.raw)};
}
#endif

/// 2^f on [-1/2, 1/2]: least maximum relative error with the constant term fixed at 1 (9.1e-8).
struct ShortExp2 {
    template <class D, class V = hn::Vec<D>>
    static HWY_INLINE V At(D d, V f) {
        V p = hn::Set(d, 0x1.5bba14p-10F);
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.3cea88p-7F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.c6b752p-5F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.ebf9bcp-3F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.62e42ap-1F));
        return hn::MulAdd(p, f, hn::Set(d, 1.0F));
    }
};

/// The same with one term more, within 9.2e-9: interpolates (2^f - 1) / f at the Chebyshev nodes of [-1/2, 1/2].
struct LongExp2 {
    template <class D, class V = hn::Vec<D>>
    static HWY_INLINE V At(D d, V f) {
        V p = hn::Set(d, 0x1.44138ap-13F);
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.5f089p-10F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.3b2a54p-7F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.c6af6cp-5F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.ebfbep-3F));
        p = hn::MulAdd(p, f, hn::Set(d, 0x1.62e43p-1F));
        return hn::MulAdd(p, f, hn::Set(d, 1.0F));
    }
};

/// 2^x by way of a polynomial; exact at 0; results below 2^-126 become 2^-126 or less, above 2^127 saturate. Range
/// reduction to the nearest integer keeps the error near x = 0 far smaller: there a state's decay is close to 1 and a
/// constant error would add up over its long memory.
template <class Polynomial, class D, class V = hn::Vec<D>>
HWY_INLINE V Exp2By(D d, V x) {
#if HWY_TARGET <= HWY_AVX3
    V const nearest = hn::Round(x);
#else
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low mantissa bits, ready to become the exponent.
    x = hn::Min(hn::Max(x, hn::Set(d, -126.0F)), hn::Set(d, 127.0F));
    V const magic = hn::Set(d, 12582912.0F);
    V const shifted = hn::Add(x, magic);
    V const nearest = hn::Sub(shifted, magic);
#endif
    V const p = Polynomial::At(d, hn::Sub(x, nearest));
#if HWY_TARGET <= HWY_AVX3
    return ScaleByPower2(p, nearest);
#else
    hn::RebindToSigned<D> const di;
    return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::BitCast(di, shifted))));
#endif
}

/// Relative error below 1.6e-7.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp2(D d, V x) {
    return Exp2By<ShortExp2>(d, x);
}

/// As good as the C library's. For gradients, that sum many products of decays: the error of the shorter polynomial has
/// a sign of its own for each argument, and sums keep it.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V AccurateExp2(D d, V x) {
    return Exp2By<LongExp2>(d, x);
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V Exp(D d, V x) {
    return Exp2(d, hn::Mul(x, hn::Set(d, kLog2E)));
}

/// log(1 + exp(x)) as max(x, 0) + log1p(exp(-|x|)); log1p(t) = 2 atanh(t / (2 + t)), a series in s^2 <= 1/9
/// (relative error 4e-9 before rounding), so that small values keep their relative accuracy.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Softplus(D d, V x) {
    V const t = Exp(d, hn::Neg(hn::Abs(x)));
    V const s = hn::Div(t, hn::Add(t, hn::Set(d, 2.0F)));
    V const s2 = hn::Mul(s, s);
    V p = hn::Set(d, 0x1.208bdp-2F);
    p = hn::MulAdd(p, s2, hn::Set(d, 0x1.1e510ap-2F));
    p = hn::MulAdd(p, s2, hn::Set(d, 0x1.99dae6p-2F));
    p = hn::MulAdd(p, s2, hn::Set(d, 0x1.5554ep-1F));
    p = hn::MulAdd(p, s2, hn::Set(d, 2.0F));
    return hn::MulAdd(p, s, hn::Max(x, hn::Zero(d)));
}

/// x / (1 + exp(-x))
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Silu(D d, V x) {
    return hn::Div(x, hn::Add(hn::Set(d, 1.0F), Exp(d, hn::Neg(x))));
}

} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#endif
