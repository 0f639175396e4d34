#include "lib/core/dtype.h"

namespace strandwave {

std::string_view dtype_name(DType dtype) noexcept {
    switch (dtype) {
    case DType::f64: return "f64";
    case DType::f32: return "f32";
    case DType::f16: return "f16";
    case DType::bf16: return "bf16";
    case DType::i64: return "i64";
    case DType::i32: return "i32";
    case DType::i16: return "i16";
    case DType::i8: return "i8";
    case DType::u8: return "u8";
    case DType::boolean: return "bool";
    }
    return "unknown";
}

index_t dtype_bytes(DType dtype) noexcept {
    switch (dtype) {
    case DType::f64:
    case DType::i64: return 8;
    case DType::f32:
    case DType::i32: return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16: return 2;
    case DType::i8:
    case DType::u8:
    case DType::boolean: return 1;
    }
    return 0;
}

float f16_to_f32(std::uint16_t bits) noexcept {
    std::uint32_t const sign = std::uint32_t{bits & 0x8000U} << 16;
    std::uint32_t const exponent = (bits >> 10) & 0x1fU;
    std::uint32_t const mantissa = bits & 0x3ffU;
    if (exponent == 0x1fU) { return std::bit_cast<float>(sign | 0x7f800000U | (mantissa << 13)); }
    if (exponent != 0) { return std::bit_cast<float>(sign | ((exponent + 112U) << 23) | (mantissa << 13)); }
    float const subnormal = static_cast<float>(mantissa) * 0x1p-24F;
    return sign != 0 ? -subnormal : subnormal;
}

} // namespace strandwave
