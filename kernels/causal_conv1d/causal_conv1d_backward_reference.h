#pragma once

#include "kernels/causal_conv1d/causal_conv1d_backward.h"

#include <vector>

namespace strandwave {

template <class Real>
struct ConvGradients {
    std::vector<Real> x;                    ///< [T, channels]; zeros where no segment is
    std::vector<Real> weight;               ///< [W, channels]
    std::vector<Real> bias;                 ///< [channels]
    std::vector<std::vector<Real>> initial; ///< of each segment: [W - 1, channels]
};

/// The formula of causal_conv1d_backward.h as plain loops in `Real` (double or float): what is written or added. Writes
/// nothing of `args`.
template <class Real>
ConvGradients<Real> causal_conv1d_backward_reference(CausalConv1dBackwardArgs const& args);

} // namespace strandwave
