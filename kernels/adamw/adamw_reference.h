#pragma once

#include "kernels/adamw/adamw.h"

#include <vector>

namespace strandwave {

/// Parameters, moments and, unless it is empty, the average in `Real` (double or float).
template <class Real>
struct AdamWState {
    std::vector<Real> parameters, moment1, moment2, average = {};
};

/// Step t = 1, 2, ... of the formula of adamw.h as plain loops; corrections are computed from t.
template <class Real>
void adamw_reference(AdamWState<Real>& state, std::vector<float> const& gradients,
                     std::vector<std::uint8_t> const& flags, AdamWStep const& step, int t);

} // namespace strandwave
