#pragma once

#include "lib/core/error.h"

#include <cstddef>
#include <memory>
#include <optional>

namespace strandwave {

/// Text as it is handed from whoever decompresses it to whoever reads it; used again and again.
struct TextBlock {
    static constexpr std::size_t kBytes = 256UL * 1024; ///< there is room for

    std::size_t size = 0;         ///< bytes of text
    std::optional<Error> failure; ///< what is wrong behind them

    char* text() noexcept { return storage.get() + 1; } ///< the byte in front of it is the reader's
    std::unique_ptr<char[]> storage = std::make_unique_for_overwrite<char[]>(1 + kBytes);
};

} // namespace strandwave
