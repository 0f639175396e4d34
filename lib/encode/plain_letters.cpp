#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lib/encode/plain_letters.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "lib/encode/plain_letters.h"

#include <algorithm>
#include <array>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kMaxLanes = 64;
using Bytes = hn::CappedTag<std::uint8_t, kMaxLanes>;

/// A vector of letters to ids; false if there is another letter than A, C, G and T.
HWY_INLINE bool encode_vector(std::uint8_t const* letters, PlainIds const& plain, std::uint8_t* ids) {
    Bytes const d;
    auto const letter = hn::LoadU(d, letters);
    auto const is = [&](char which) HWY_ATTR { return hn::Eq(letter, hn::Set(d, static_cast<std::uint8_t>(which))); };
    auto const id = [&](std::uint8_t which) HWY_ATTR { return hn::Set(d, which); };
    auto const a = is('A'), c = is('C'), g = is('G'), t = is('T');
    auto const a_or_c = hn::Or(hn::IfThenElseZero(a, id(plain.a)), hn::IfThenElseZero(c, id(plain.c)));
    auto const g_or_t = hn::Or(hn::IfThenElseZero(g, id(plain.g)), hn::IfThenElseZero(t, id(plain.t)));
    hn::StoreU(hn::Or(a_or_c, g_or_t), d, ids);
    return hn::AllTrue(d, hn::Or(hn::Or(a, c), hn::Or(g, t)));
}

HWY_INLINE void widen_vector(std::uint8_t const* ids, std::int32_t* out) {
    hn::CappedTag<std::int32_t, kMaxLanes / sizeof(std::int32_t)> const d;
    hn::Rebind<std::uint8_t, decltype(d)> const bytes;
    for (std::size_t i = 0; i < hn::Lanes(Bytes()); i += hn::Lanes(d)) {
        hn::StoreU(hn::PromoteTo(d, hn::LoadU(bytes, ids + i)), d, out + i);
    }
}

HWY_INLINE bool encode_block(std::uint8_t const* letters, PlainIds const& plain, std::int32_t* out) {
    std::array<std::uint8_t, kMaxLanes> ids;
    bool const all_plain = encode_vector(letters, plain, ids.data());
    if (all_plain) { widen_vector(ids.data(), out); }
    return all_plain;
}

std::size_t encode_short(std::string_view letters, PlainIds const& plain, std::int32_t* out) {
    std::array<std::uint8_t, kMaxLanes> padded, ids;
    padded.fill('A');
    std::copy(letters.begin(), letters.end(), padded.begin());
    if (!encode_vector(padded.data(), plain, ids.data())) { return 0; }
    std::copy_n(ids.begin(), letters.size(), out);
    return letters.size();
}

std::size_t encode_plain_letters(std::string_view letters, PlainIds const& plain, std::int32_t* out) {
    auto const block = hn::Lanes(Bytes());
    if (letters.size() < block) { return encode_short(letters, plain, out); }
    auto const* from = reinterpret_cast<std::uint8_t const*>(letters.data());
    std::size_t done = 0;
    for (; done + block <= letters.size(); done += block) {
        if (!encode_block(from + done, plain, out + done)) { return done; }
    }
    auto const last = letters.size() - block; // once more in part, which is faster than a short block
    return encode_block(from + last, plain, out + last) ? letters.size() : done;
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(encode_plain_letters);
std::size_t encode_plain_letters(std::string_view letters, PlainIds const& plain, std::int32_t* out) noexcept {
    return HWY_DYNAMIC_DISPATCH(encode_plain_letters)(letters, plain, out);
}
} // namespace strandwave
#endif
