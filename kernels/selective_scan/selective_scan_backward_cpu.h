#pragma once

#include "kernels/selective_scan/selective_scan_backward.h"

namespace strandwave {

/// The CPU kernel; shapes are checked. Best target of those compiled in (Highway).
void selective_scan_backward_cpu(SelectiveScanBackwardArgs const& args);

} // namespace strandwave
