#pragma once

#include "kernels/norm/norm_backward.h"

namespace strandwave {

/// The CPU kernel of both gradients; shapes are checked. `centred`: of layer norm.
void norm_backward_cpu(NormBackwardArgs const& args, bool centred);

} // namespace strandwave
