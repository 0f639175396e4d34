#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>

namespace strandwave {

/// Gradient of embedding.h:  dtable[v,:] += sum of dy[t,:] over the t with tokens[t] = v.
/// Shapes: dy `[T, d]`, T = tokens.size(), dtable `[vocab, d]`; its rows of tokens that do not occur are left alone.
/// Precision: fp32, rows added in order. Determinism: the same bits every run. Aliasing: none.
/// Throws, before anything is written: shape_mismatch; invalid_argument for an id outside the table, naming id and
/// position.
void embedding_backward(std::span<std::int32_t const> tokens, View<float const, 2> dy, View<float, 2> dtable);

} // namespace strandwave
