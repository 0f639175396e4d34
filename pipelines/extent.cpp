#include "pipelines/extent.h"

#include "lib/core/error.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace strandwave {

Extent Extent::parse(std::string const& text) {
    Extent extent;
    extent.seconds = !text.empty() && text.back() == 's';
    auto const* const end = text.data() + text.size() - (extent.seconds ? 1 : 0);
    auto const [stop, error] = std::from_chars(text.data(), end, extent.amount);
    bool const whole = extent.seconds || extent.amount == std::floor(extent.amount);
    if (error != std::errc{} || stop != end || !(extent.amount > 0) || extent.amount > 9e15 || !whole) {
        throw Error(ErrorCode::invalid_argument,
                    "\"" + text + "\" is not a length: give bases or samples as in 4096, or seconds as in 2.5s");
    }
    return extent;
}

index_t Extent::symbols(double sample_rate_hz) const {
    if (!seconds) { return static_cast<index_t>(amount); }
    if (sample_rate_hz <= 0) {
        throw Error(ErrorCode::invalid_argument, "DNA has no seconds: give the window and stride in bases");
    }
    return std::max<index_t>(1, std::llround(std::min(amount * sample_rate_hz, 9e15)));
}

} // namespace strandwave
