// What a lane of mamba_step_cuda.cu does with weights and sums.
#pragma once

#include "kernels/mamba_step/mamba_step_layout.cuh"

#include <cuda_bf16.h>
#include <cuda_runtime.h>

namespace strandwave::step {

/// A lane's part of a unit of weights. The load stands where it is written: ahead of what hides its time.
__device__ __forceinline__ uint4 load_unit(unsigned char const* from) {
    uint4 part;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(part.x), "=r"(part.y), "=r"(part.z), "=r"(part.w)
                 : "l"(from));
    return part;
}

template <int kUnits>
__device__ __forceinline__ void load_units(unsigned char const* from, uint4 (&to)[kUnits]) {
#pragma unroll
    for (int i = 0; i < kUnits; ++i) {
        to[i] = load_unit(from + i * kUnitBytes);
    }
}

/// Past the L1 cache, which does not know what an earlier kernel wrote that has not ended when this one begins.
__device__ __forceinline__ float load_float(float const* from) {
    float value;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(value) : "l"(from) : "memory");
    return value;
}

/// A lane's weights of a unit as fp32: 8 of bf16, 4 of f32.
__device__ __forceinline__ void unpack(uint4 from, float (&to)[8]) {
    // A bfloat16 is the upper half of a float; the one at the lower address is in the lower half of its word.
    unsigned int const words[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        to[2 * i] = __uint_as_float(words[i] << 16);
        to[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
    }
}
__device__ __forceinline__ void unpack(uint4 from, float (&to)[4]) {
    to[0] = __uint_as_float(from.x);
    to[1] = __uint_as_float(from.y);
    to[2] = __uint_as_float(from.z);
    to[3] = __uint_as_float(from.w);
}

/// What a lane's weights of a unit are multiplied with: four numbers, and so on, kStride apart.
template <int kStride, int kElements>
__device__ __forceinline__ void load_input(float const* from, float (&to)[kElements]) {
#pragma unroll
    for (int v = 0; v < kElements; v += 4) {
        float4 const four = *reinterpret_cast<float4 const*>(from + v / 4 * kStride);
        to[v] = four.x;
        to[v + 1] = four.y;
        to[v + 2] = four.z;
        to[v + 3] = four.w;
    }
}

template <int kElements>
__device__ __forceinline__ float add_products(uint4 packed, float const (&input)[kElements], float sum) {
    float weights[kElements];
    unpack(packed, weights);
#pragma unroll
    for (int v = 0; v < kElements; ++v) {
        sum = fmaf(weights[v], input[v], sum);
    }
    return sum;
}

/// Each value becomes its sum over kLanes neighbouring lanes.
template <int kLanes, int kValues>
__device__ __forceinline__ void add_lanes(float (&values)[kValues]) {
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2) {
#pragma unroll
        for (int i = 0; i < kValues; ++i) {
            values[i] += __shfl_xor_sync(~0U, values[i], distance);
        }
    }
}

template <int kLanes>
__device__ __forceinline__ float lane_sum(float value) {
    float values[1] = {value};
    add_lanes<kLanes>(values);
    return values[0];
}

/// In a fixed order.
template <int kCount>
__device__ __forceinline__ float sum_column(float const* from, int stride) {
    float sums[4] = {from[0], from[stride], from[2 * stride], from[3 * stride]};
#pragma unroll
    for (int i = 4; i < kCount; ++i) {
        sums[i % 4] += from[i * stride];
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

} // namespace strandwave::step
