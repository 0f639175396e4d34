#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace strandwave {

/// The ids of the four bases.
struct PlainIds {
    std::uint8_t a, c, g, t;
};

/// Encodes blocks of nothing but A, C, G and T from the start of `letters` on, into `out`, [letters.size()]; returns
/// how many letters that was. Blocks have up to 64 letters, the last one what is left.
std::size_t encode_plain_letters(std::string_view letters, PlainIds const& plain, std::int32_t* out) noexcept;

} // namespace strandwave
