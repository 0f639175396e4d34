#include "formats/sequence_letters.h"

namespace strandwave {
namespace {

bool is_sequence_letter(unsigned char byte) noexcept {
    auto const letter = static_cast<unsigned char>((byte | 0x20U) - 'a');
    return (letter < 26) | (byte == '*') | (byte == '-');
}

bool is_quality(unsigned char byte) noexcept { return static_cast<unsigned char>(byte - '!') <= '~' - '!'; }

/// Whole blocks first: a loop of fixed length without exits, which compilers turn into vector code.
template <class Accepts>
std::size_t count_accepted(std::string_view text, Accepts accepts) noexcept {
    constexpr std::size_t kBlock = 64;
    auto const* bytes = reinterpret_cast<unsigned char const*>(text.data());
    std::size_t position = 0;
    while (position + kBlock <= text.size()) {
        unsigned char refused = 0;
        for (std::size_t i = 0; i < kBlock; ++i) {
            refused = static_cast<unsigned char>(refused | (accepts(bytes[position + i]) ? 0 : 1));
        }
        if (refused != 0) { break; }
        position += kBlock;
    }
    while (position < text.size() && accepts(bytes[position])) {
        ++position;
    }
    return position;
}

} // namespace

std::size_t count_sequence_letters(std::string_view text) noexcept { return count_accepted(text, is_sequence_letter); }

std::size_t count_qualities(std::string_view text) noexcept { return count_accepted(text, is_quality); }

} // namespace strandwave
