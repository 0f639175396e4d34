// Device arithmetic that several kernels share. `kFast` is for bf16 activations: the special function units' own
// precision (about 2 units in the last place of fp32); without it results are as good as the CPU's.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace strandwave::device {

inline constexpr float kLog2E = 1.44269504F;

/// 2^x of the special function unit; results below 2^-126 are 0.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float log2_fast(float x) {
    float y;
    asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

__device__ __forceinline__ float reciprocal_fast(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/// 2^x with the polynomial of kernels/simd/vector_math-inl.h: relative error below 1.6e-7, far smaller near 0, where a
/// state's decay is close to 1 and a constant error would add up over its long memory.
__device__ __forceinline__ float exp2_exact(float x) {
    x = fminf(fmaxf(x, -126.0F), 127.0F);
    float const shifted = __fadd_rn(x, 12582912.0F); // 1.5 * 2^23: rounds to an integer, left in the low mantissa bits
    float const f = __fsub_rn(x, __fsub_rn(shifted, 12582912.0F));
    float p = 0x1.5bba14p-10F;
    p = fmaf(p, f, 0x1.3cea88p-7F);
    p = fmaf(p, f, 0x1.c6b752p-5F);
    p = fmaf(p, f, 0x1.ebf9bcp-3F);
    p = fmaf(p, f, 0x1.62e42ap-1F);
    p = fmaf(p, f, 1.0F);
    return __int_as_float(__float_as_int(p) + (__float_as_int(shifted) << 23));
}

template <bool kFast>
__device__ __forceinline__ float exp2_of(float x) {
    if constexpr (kFast) { return exp2_fast(x); }
    return exp2_exact(x);
}

/// log(1 + exp(x))
template <bool kFast>
__device__ __forceinline__ float softplus(float x) {
    float const t = exp2_of<kFast>(-fabsf(x) * kLog2E);
    if constexpr (kFast) { return fmaf(0.693147182F, log2_fast(1.0F + t), fmaxf(x, 0.0F)); }
    return fmaxf(x, 0.0F) + log1pf(t);
}

/// x / (1 + exp(-x))
template <bool kFast>
__device__ __forceinline__ float silu(float x) {
    if constexpr (kFast) { return x * reciprocal_fast(1.0F + exp2_fast(-x * kLog2E)); }
    return __fdiv_rn(x, 1.0F + exp2_exact(-x * kLog2E));
}

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }

template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
    return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
    return __float2bfloat16_rn(x);
}

} // namespace strandwave::device
