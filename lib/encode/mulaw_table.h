#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace strandwave {

/// mulaw_token for every float there is, looked up: some twenty times as fast as its logarithm, and the same to the
/// bit. Floats that share their upper 16 bits lie within 0.8 % of each other (or near 0), where the token rises once at
/// most; so an entry holds where. 512 KiB, of which the samples of a recording use some 30.
class MulawTable {
public:
    /// Made at the first call, which takes some milliseconds. Thread-safe.
    static MulawTable const& instance();

    std::int32_t token(float sample) const noexcept {
        auto const bits = std::bit_cast<std::uint32_t>(sample);
        auto const& entry = entries_[bits >> 16];
        return (bits & 0xffff) < entry.step ? entry.before : entry.behind;
    }

private:
    struct Entry {
        std::uint32_t step = 0; ///< lower 16 bits from which on it is `behind`
        std::uint8_t before = 0;
        std::uint8_t behind = 0;
    };

    MulawTable();

    std::vector<Entry> entries_; ///< by the upper 16 bits
};

} // namespace strandwave
