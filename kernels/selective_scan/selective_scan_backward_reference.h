#pragma once

#include "kernels/selective_scan/selective_scan_backward.h"

#include <vector>

namespace strandwave {

/// Shapes as in selective_scan_backward.h, row-major without gaps; rows that no segment covers are 0. `dz` is empty
/// without a gate. `d_initial`: [N, E] of each segment.
template <class Real>
struct SelectiveScanGradients {
    std::vector<Real> du, ddelta, dB, dC, dz, y, dA, dD, ddelta_bias;
    std::vector<std::vector<Real>> d_initial;
};

/// The formulas of selective_scan_backward.h as plain loops in `Real`: double says what is right, float what a plain
/// loop gives. Reads the inputs of `args` only: the outputs may be empty, and all gradients start from zero.
template <class Real>
SelectiveScanGradients<Real> selective_scan_backward_reference(SelectiveScanBackwardArgs const& args);

} // namespace strandwave
