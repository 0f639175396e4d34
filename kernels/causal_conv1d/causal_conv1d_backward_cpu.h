#pragma once

#include "kernels/causal_conv1d/causal_conv1d_backward.h"

namespace strandwave {

/// The CPU kernel; shapes are checked.
void causal_conv1d_backward_cpu(CausalConv1dBackwardArgs const& args);

} // namespace strandwave
