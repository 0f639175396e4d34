#pragma once

#include "kernels/norm/norm_backward.h"

#include <vector>

namespace strandwave {

template <class Real>
struct NormGradients {
    std::vector<Real> x;      ///< [T, d]
    std::vector<Real> weight; ///< [d]
    std::vector<Real> bias;   ///< [d]
};

/// The formulas of norm_backward.h as plain loops in `Real` (double or float): what is written or added. Writes nothing
/// of `args`.
template <class Real>
NormGradients<Real> norm_backward_reference(NormBackwardArgs const& args, bool centred);

} // namespace strandwave
