// Device arithmetic of the backward pass. `kFast`, for bf16 activations, is as in kernels/cuda/math.cuh. Without it
// exponentials are as good as a C library's: gradients are sums of many terms of both signs, in which the errors of
// exponentials of products that were rounded before, as the forward pass has them, are more than twice a plain loop's.
#pragma once

#include "kernels/cuda/math.cuh"

namespace strandwave::scan_backward {

/// e^x within 0.6 units in the last place: x = n ln2 + f, e^f = 1 + f + f^2 q(f) with a minimax q.
__device__ __forceinline__ float exp_exact(float x) {
    x = fminf(fmaxf(x, -87.3F), 88.0F);
    float const shifted = fmaf(x, device::kLog2E, 12582912.0F); // 1.5 * 2^23: n is left in the low mantissa bits
    float const n = __fsub_rn(shifted, 12582912.0F);
    float const f = fmaf(n, -0x1.7f7d1cp-20F, fmaf(n, -0x1.62e4p-1F, x)); // ln2 in two parts
    float q = 0x1.6a23f2p-10F;
    q = fmaf(q, f, 0x1.123a0ap-7F);
    q = fmaf(q, f, 0x1.5558f2p-5F);
    q = fmaf(q, f, 0x1.555492p-3F);
    q = fmaf(q, f, 0x1.fffffcp-2F);
    float const e = __fadd_rn(1.0F, fmaf(f * f, q, f));
    return __int_as_float(__float_as_int(e) + (__float_as_int(shifted) << 23));
}

/// What A is multiplied by for `decay`.
template <bool kFast>
constexpr float kDecayFactor = kFast ? device::kLog2E : 1.0F;

/// exp(dt A), of dt A kDecayFactor.
template <bool kFast>
__device__ __forceinline__ float decay(float x) {
    if constexpr (kFast) { return device::exp2_fast(x); }
    return exp_exact(x);
}

/// 1 / (1 + exp(-x))
template <bool kFast>
__device__ __forceinline__ float sigmoid(float x) {
    if constexpr (kFast) { return device::reciprocal_fast(1.0F + device::exp2_fast(-x * device::kLog2E)); }
    return __fdiv_rn(1.0F, 1.0F + exp_exact(-x));
}

template <bool kFast>
__device__ __forceinline__ float softplus(float x) {
    if constexpr (kFast) { return device::softplus<true>(x); }
    return fmaxf(x, 0.0F) + log1pf(exp_exact(-fabsf(x)));
}

/// The derivative of a softplus that gave dt: 1 - exp(-dt). With `kFast` within 2^-18 relative.
template <bool kFast>
__device__ __forceinline__ float slope_at(float dt) {
    if constexpr (!kFast) { return -expm1f(-dt); }
    float series = fmaf(dt, -0.00833333377F, 0.0416666679F); // 1/120, 1/24
    series = fmaf(dt, -series, 0.166666672F);
    series = fmaf(dt, -series, 0.5F);
    series = fmaf(dt, -series, 1.0F);
    return dt < 0.25F ? dt * series : 1.0F - device::exp2_fast(-dt * device::kLog2E);
}

} // namespace strandwave::scan_backward
