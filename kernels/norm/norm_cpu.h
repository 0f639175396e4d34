#pragma once

#include "kernels/norm/norm.h"

namespace strandwave {

/// The CPU kernel of both norms; shapes are checked. `centred`: subtract the mean first (layer norm).
void norm_cpu(NormArgs const& args, bool centred);

} // namespace strandwave
