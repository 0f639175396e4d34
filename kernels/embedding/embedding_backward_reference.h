#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

/// The formula of embedding_backward.h as plain loops in `Real` (double or float): what is added to dtable
/// `[vocab, d]`.
template <class Real>
std::vector<Real> embedding_backward_reference(std::span<std::int32_t const> tokens, View<float const, 2> dy,
                                               index_t vocab);

} // namespace strandwave
