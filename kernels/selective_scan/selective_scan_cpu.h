#pragma once

#include "kernels/selective_scan/selective_scan.h"

namespace strandwave {

/// The CPU kernel; shapes are checked. Best target of those compiled in (Highway).
void selective_scan_cpu(SelectiveScanArgs const& args);

} // namespace strandwave
