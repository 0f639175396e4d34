#pragma once

#include "kernels/selective_scan/selective_scan.h"

#include <vector>

namespace strandwave {

/// y `[T, E]` (zeros where no segment is) and the final h of each segment `[segments][N, E]`.
template <class Real>
struct ScanOutput {
    std::vector<Real> y;
    std::vector<std::vector<Real>> final;
};

/// The formula of selective_scan.h as plain loops in `Real`: double says what is right, float what a plain loop gives.
/// Writes nothing of `args`.
template <class Real>
ScanOutput<Real> selective_scan_reference(SelectiveScanArgs const& args);

} // namespace strandwave
