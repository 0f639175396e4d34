#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>

namespace strandwave {

/// y[t,:] = table[tokens[t],:]. Shapes: table `[vocab, d]`, y `[T, d]`, T = tokens.size().
/// Throws: shape_mismatch; invalid_argument for an id outside the table, naming id and position.
void embedding(View<float const, 2> table, std::span<std::int32_t const> tokens, View<float, 2> y);

} // namespace strandwave
