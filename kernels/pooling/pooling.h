#pragma once

#include "lib/core/view.h"

#include <cstdint>

namespace strandwave {

/// How the vectors of a record's positions become one.
enum class Pooling : std::uint8_t { mean, max, first, last };

/// Running pooling of one record, carried from piece to piece.
///   mean: sum / length     max: per channel     first, last: the vector of that position
/// `x` `[n, d]` are the next positions of the record, `seen` how many came before, `state` `[d]` is carried (its
/// content does not matter when seen == 0). Precision: sums in double, position by position, so that any cut into
/// pieces gives the same bits. n may be 0. Throws shape_mismatch.
void pool_accumulate(Pooling pooling, View<float const, 2> x, index_t seen, View<double, 1> state);

/// The pooled vector `[d]` of a record of `length` positions; zeros if it is 0.
void pool_finish(Pooling pooling, View<double const, 1> state, index_t length, View<float, 1> pooled);

} // namespace strandwave
