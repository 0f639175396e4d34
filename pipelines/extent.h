#pragma once

#include "lib/core/view.h"

#include <string>

namespace strandwave {

/// A length of input: bases or samples of the source, or seconds of sound.
struct Extent {
    double amount = 0;
    bool seconds = false;

    /// "4096" or "2.5s"; invalid_argument unless it is a positive number.
    static Extent parse(std::string const& text);

    /// In symbols of a source of `sample_rate_hz`, 1 at least. Rate 0 is DNA: seconds are then an invalid_argument.
    index_t symbols(double sample_rate_hz) const;
};

} // namespace strandwave
