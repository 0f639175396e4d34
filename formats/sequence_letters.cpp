#include "formats/sequence_letters.h"

namespace strandwave {
namespace {

bool is_sequence_letter(unsigned char byte) noexcept {
    auto const letter = static_cast<unsigned char>((byte | 0x20U) - 'a');
    return (letter < 26) | (byte == '*') | (byte == '-');
}

bool is_quality(unsigned char byte) noexcept { return static_cast<unsigned char>(byte - '!') <= '~' - '!'; }

bool is_header_byte(unsigned char byte) noexcept { return (byte >= ' ' && byte != 0x7f) | (byte == '\t'); }

constexpr std::size_t kBlock = 32;

/// A loop of fixed length without exits, which compilers turn into vector code.
template <class Accepts>
bool accepts_block(unsigned char const* bytes, Accepts accepts) noexcept {
    unsigned char refused = 0;
    for (std::size_t i = 0; i < kBlock; ++i) {
        refused = static_cast<unsigned char>(refused | (accepts(bytes[i]) ? 0 : 1));
    }
    return refused == 0;
}

/// Whole blocks first, and what is left as a part of the last whole block.
template <class Accepts>
std::size_t count_accepted(std::string_view text, Accepts accepts) noexcept {
    auto const* bytes = reinterpret_cast<unsigned char const*>(text.data());
    std::size_t position = 0;
    while (position + kBlock <= text.size() && accepts_block(bytes + position, accepts)) {
        position += kBlock;
    }
    bool const rest_in_block = text.size() >= kBlock && position + kBlock > text.size();
    if (rest_in_block && accepts_block(bytes + text.size() - kBlock, accepts)) { return text.size(); }
    while (position < text.size() && accepts(bytes[position])) {
        ++position;
    }
    return position;
}

} // namespace

std::size_t count_sequence_letters(std::string_view text) noexcept { return count_accepted(text, is_sequence_letter); }

std::size_t count_header_bytes(std::string_view text) noexcept { return count_accepted(text, is_header_byte); }

std::size_t count_qualities(std::string_view text) noexcept { return count_accepted(text, is_quality); }

} // namespace strandwave
