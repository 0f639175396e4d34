#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"

namespace strandwave {

/// The CPU kernel; shapes are checked. Best target of those compiled in (Highway).
void causal_conv1d_cpu(CausalConv1dArgs const& args);

} // namespace strandwave
