#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"

#include <vector>

namespace strandwave {

/// The formula of causal_conv1d.h as plain loops in `Real` (double or float): y `[T, channels]`, zeros where no segment
/// is. Writes nothing of `args`.
template <class Real>
std::vector<Real> causal_conv1d_reference(CausalConv1dArgs const& args);

} // namespace strandwave
