#pragma once

#include "kernels/norm/norm.h"

#include <vector>

namespace strandwave {

/// The formulas of norm.h as plain loops in `Real` (double or float): y `[T, d]`. Writes nothing of `args`.
template <class Real>
std::vector<Real> norm_reference(NormArgs const& args, bool centred);

} // namespace strandwave
