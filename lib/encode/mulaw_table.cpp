#include "lib/encode/mulaw_table.h"

#include "lib/encode/audio_encoder.h"

namespace strandwave {

MulawTable const& MulawTable::instance() {
    static MulawTable const table;
    return table;
}

MulawTable::MulawTable() : entries_(std::size_t{1} << 16) {
    constexpr std::uint32_t kLast = 0xffff;
    for (std::uint32_t upper = 0; upper < entries_.size(); ++upper) {
        auto const token = [upper](std::uint32_t lower) {
            return static_cast<std::uint8_t>(mulaw_token(std::bit_cast<float>(upper << 16 | lower)));
        };
        auto& entry = entries_[upper];
        entry.before = token(0);
        entry.behind = token(kLast);
        std::uint32_t same = 0; // the token there is `before`, and that at `step` is `behind`
        entry.step = kLast;
        while (same + 1 < entry.step) {
            auto const middle = (same + entry.step) / 2;
            (token(middle) == entry.before ? same : entry.step) = middle;
        }
    }
}

} // namespace strandwave
