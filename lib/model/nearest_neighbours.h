#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

/// The class that each of the rows `asked` gets from the `neighbours` rows of `known` (all, if there are fewer) that
/// are nearest to it, by majority vote (Cover & Hart 1967, doi:10.1109/TIT.1967.1053964). Near is a large cosine
/// between rows of `features` `[n, f]` from which the mean of the known rows is taken: pooled vectors share a large
/// part that tells nothing. Of classes with equally many votes the one with the nearest row wins, of rows equally near
/// the first. A row of zeros is at cosine 0 from everything. `features` are finite; `labels` `[n]`, >= 0; both lists
/// index rows. In fp32.
/// Throws invalid_argument (no known row, neighbours < 1), shape_mismatch.
std::vector<std::int32_t> nearest_neighbours(View<float const, 2> features, std::span<std::int32_t const> labels,
                                             std::span<index_t const> known, std::span<index_t const> asked,
                                             index_t neighbours);

} // namespace strandwave
