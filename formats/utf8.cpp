#include "formats/utf8.h"

#include <array>
#include <cstddef>

namespace strandwave {
namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr std::string_view kReplacementBytes = "\xef\xbf\xbd";

struct CodePoint {
    char32_t value = kReplacement;
    std::size_t bytes = 0; ///< 0: no valid sequence
};

/// The first code point of a text that is not empty.
CodePoint first_code_point(std::string_view text) {
    auto const byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    unsigned const lead = byte(0);
    if (lead < 0x80) { return {lead, 1}; }
    if (lead < 0xc2 || lead > 0xf4) { return {}; } // goes on, or is overlong, or lies past U+10FFFF
    std::size_t const bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (text.size() < bytes) { return {}; }
    char32_t value = lead & (0xffU >> (bytes + 1));
    for (std::size_t i = 1; i < bytes; ++i) {
        if ((byte(i) & 0xc0U) != 0x80) { return {}; }
        value = value << 6 | (byte(i) & 0x3fU);
    }
    constexpr std::array<char32_t, 5> kLeast{0, 0, 0x80, 0x800, 0x10000};
    bool const surrogate = value >= 0xd800 && value < 0xe000;
    if (value < kLeast[bytes] || surrogate || value > 0x10ffff) { return {}; }
    return {value, bytes};
}

} // namespace

std::u32string decode_utf8(std::string_view text) {
    std::u32string points;
    while (!text.empty()) {
        auto const point = first_code_point(text);
        points += point.value;
        text.remove_prefix(point.bytes > 0 ? point.bytes : 1);
    }
    return points;
}

std::string repair_utf8(std::string_view text) {
    std::string valid;
    while (!text.empty()) {
        auto const bytes = first_code_point(text).bytes;
        valid += bytes > 0 ? text.substr(0, bytes) : kReplacementBytes;
        text.remove_prefix(bytes > 0 ? bytes : 1);
    }
    return valid;
}

std::string_view behind_byte_order_mark(std::string_view text) {
    constexpr std::string_view kMark = "\xef\xbb\xbf";
    return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

} // namespace strandwave
