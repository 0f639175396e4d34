#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/core/error.h"

#include <bit>
#include <cstdint>
#include <cuda_bf16.h>
#include <string>

namespace strandwave {

/// Neighbouring elements that memory-bound kernels move in one access where they can: 16 bytes of f32, 8 of bf16.
inline constexpr int kQuad = 4;

/// V (1 or kQuad) neighbouring elements as they lie in memory.
template <class T, int V>
struct PackedType {
    using type = T;
};
template <>
struct PackedType<float, kQuad> {
    using type = float4;
};
template <>
struct PackedType<__nv_bfloat16, kQuad> {
    using type = uint2;
};
template <class T, int V>
using Packed = typename PackedType<T, V>::type;

__device__ inline void unpack(float from, float (&to)[1]) { to[0] = from; }
__device__ inline void unpack(__nv_bfloat16 from, float (&to)[1]) { to[0] = __bfloat162float(from); }
__device__ inline void unpack(float4 from, float (&to)[kQuad]) {
    to[0] = from.x;
    to[1] = from.y;
    to[2] = from.z;
    to[3] = from.w;
}
__device__ inline void unpack(uint2 from, float (&to)[kQuad]) {
    // A bfloat16 is the upper half of a float; the element at the lower address is in the lower half of its word.
    to[0] = __uint_as_float(from.x << 16);
    to[1] = __uint_as_float(from.x & 0xffff0000U);
    to[2] = __uint_as_float(from.y << 16);
    to[3] = __uint_as_float(from.y & 0xffff0000U);
}

__device__ inline std::uint32_t round_pair(float low, float high) {
    __nv_bfloat162_raw const pair = __floats2bfloat162_rn(low, high);
    return pair.x | static_cast<std::uint32_t>(pair.y) << 16;
}

__device__ inline void pack(float const (&from)[1], float& to) { to = from[0]; }
__device__ inline void pack(float const (&from)[1], __nv_bfloat16& to) { to = __float2bfloat16_rn(from[0]); }
__device__ inline void pack(float const (&from)[kQuad], float4& to) { to = {from[0], from[1], from[2], from[3]}; }
__device__ inline void pack(float const (&from)[kQuad], uint2& to) {
    to = {round_pair(from[0], from[1]), round_pair(from[2], from[3])};
}

template <int V, class T>
__device__ Packed<T, V> load_packed(T const* from) {
    return *reinterpret_cast<Packed<T, V> const*>(from);
}

template <class T, int V>
__device__ void load(T const* from, float (&to)[V]) {
    unpack(load_packed<V>(from), to);
}

template <class T, int V>
__device__ void store(float const (&from)[V], T* to) {
    pack(from, *reinterpret_cast<Packed<T, V>*>(to));
}

/// Whether the elements of the rows, or of a vector of parameters (null: there is none), can be moved kQuad at once.
inline bool in_quads(DeviceMatrix const& matrix) {
    auto const address = reinterpret_cast<std::uintptr_t>(matrix.data);
    return matrix.cols % kQuad == 0 && matrix.row_stride % kQuad == 0 &&
           address % static_cast<std::uintptr_t>(kQuad * dtype_bytes(matrix.dtype)) == 0;
}
inline bool in_quads(float const* parameters) {
    return reinterpret_cast<std::uintptr_t>(parameters) % (kQuad * sizeof(float)) == 0;
}

/// Calls `call` with a zero of the device type of `dtype`; a template of kernels is then chosen by its type.
template <class Call>
void with_element(char const* op, DType dtype, Call const& call) {
    switch (dtype) {
    case DType::f32: return call(float{});
    case DType::bf16: return call(__nv_bfloat16{});
    default:
        throw Error(ErrorCode::unsupported,
                    std::string(op) + ": the GPU takes f32 and bf16, not " + std::string(dtype_name(dtype)));
    }
}

inline constexpr index_t kThreads = 256; ///< of a thread block

/// A launch over rows x groups of channels: neighbouring threads have neighbouring groups, so that a row is read
/// in one go. Work is at row_index() and group_index(), which may lie outside.
struct ChannelGrid {
    dim3 grid;
    dim3 threads;

    ChannelGrid(index_t rows, index_t groups) {
        index_t const warps = (groups + 31) / 32;
        index_t const x = groups < 32      ? static_cast<index_t>(std::bit_ceil(static_cast<std::uint64_t>(groups)))
                          : warps % 4 == 0 ? 128
                          : warps % 2 == 0 ? 64
                                           : 32;
        index_t const y = kThreads / x;
        threads = dim3(static_cast<unsigned>(x), static_cast<unsigned>(y));
        grid = dim3(static_cast<unsigned>((rows + y - 1) / y), static_cast<unsigned>((groups + x - 1) / x));
    }
};
__device__ inline index_t row_index() { return static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; }
__device__ inline index_t group_index() { return static_cast<index_t>(blockIdx.y) * blockDim.x + threadIdx.x; }

} // namespace strandwave
