#pragma once

#include "lib/core/view.h"

#include <bit>
#include <cstdint>
#include <string_view>

namespace strandwave {

/// Element types that checkpoints and arrays carry.
enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

std::string_view dtype_name(DType dtype) noexcept; ///< "f32", "bf16", ...
index_t dtype_bytes(DType dtype) noexcept;

/// bfloat16 as its bits: the upper half of an IEEE float.
struct bf16_t {
    std::uint16_t bits;
};

inline float to_f32(bf16_t value) noexcept { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

/// Round to nearest, ties to even; NaN stays NaN.
inline bf16_t to_bf16(float value) noexcept {
    auto const bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffU) > 0x7f800000U) { return {static_cast<std::uint16_t>((bits >> 16) | 0x40U)}; }
    return {static_cast<std::uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16)};
}

/// IEEE half precision (its bits) to float, subnormals, infinities and NaN included.
float f16_to_f32(std::uint16_t bits) noexcept;

} // namespace strandwave
