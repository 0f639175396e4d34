#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "formats/sequence_letters.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "formats/sequence_letters.h"

#include <array>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kMaxLanes = 64;
using Bytes = hn::CappedTag<std::uint8_t, kMaxLanes>;
using Vector = hn::Vec<Bytes>;
using Mask = hn::Mask<Bytes>;

HWY_INLINE Mask is_byte(Vector bytes, char byte) {
    return hn::Eq(bytes, hn::Set(Bytes(), static_cast<std::uint8_t>(byte)));
}

HWY_INLINE Mask is_between(Vector bytes, char first, char last) {
    auto const offset = hn::Sub(bytes, hn::Set(Bytes(), static_cast<std::uint8_t>(first)));
    return hn::Eq(offset, hn::Min(offset, hn::Set(Bytes(), static_cast<std::uint8_t>(last - first))));
}

struct IsSequenceLetter {
    HWY_INLINE Mask operator()(Vector bytes) const {
        auto const lower = hn::Or(bytes, hn::Set(Bytes(), 0x20));
        return hn::Or(is_between(lower, 'a', 'z'), hn::Or(is_byte(bytes, '*'), is_byte(bytes, '-')));
    }
};

struct IsQuality {
    HWY_INLINE Mask operator()(Vector bytes) const { return is_between(bytes, '!', '~'); }
};

struct IsHeaderByte {
    HWY_INLINE Mask operator()(Vector bytes) const {
        auto const printable = hn::AndNot(is_byte(bytes, '\x7f'), is_between(bytes, ' ', '\xff'));
        return hn::Or(printable, is_byte(bytes, '\t'));
    }
};

template <class Accepts>
HWY_INLINE std::size_t count_accepted(std::string_view text, Accepts accepts) {
    Bytes const d;
    auto const lanes = hn::Lanes(d);
    auto const* bytes = reinterpret_cast<std::uint8_t const*>(text.data());
    std::size_t count = 0;
    for (; count + lanes <= text.size(); count += lanes) {
        auto const refused = hn::FindFirstTrue(d, hn::Not(accepts(hn::LoadU(d, bytes + count))));
        if (refused >= 0) { return count + static_cast<std::size_t>(refused); }
    }
    std::array<std::uint8_t, kMaxLanes> rest{}; // at least one byte 0 at the end, which nobody accepts
    std::memcpy(rest.data(), bytes + count, text.size() - count);
    return count + static_cast<std::size_t>(hn::FindFirstTrue(d, hn::Not(accepts(hn::LoadU(d, rest.data())))));
}

std::size_t count_sequence_letters(std::string_view text) { return count_accepted(text, IsSequenceLetter()); }
std::size_t count_qualities(std::string_view text) { return count_accepted(text, IsQuality()); }
std::size_t count_header_bytes(std::string_view text) { return count_accepted(text, IsHeaderByte()); }

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {

HWY_EXPORT(count_sequence_letters);
HWY_EXPORT(count_qualities);
HWY_EXPORT(count_header_bytes);

std::size_t count_sequence_letters(std::string_view text) noexcept {
    return HWY_DYNAMIC_DISPATCH(count_sequence_letters)(text);
}

std::size_t count_qualities(std::string_view text) noexcept { return HWY_DYNAMIC_DISPATCH(count_qualities)(text); }

std::size_t count_header_bytes(std::string_view text) noexcept {
    return HWY_DYNAMIC_DISPATCH(count_header_bytes)(text);
}

} // namespace strandwave
#endif
