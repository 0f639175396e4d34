#pragma once

#include "lib/core/view.h"

#include <vector>

namespace strandwave {

/// y = x W^T + bias as plain loops in `Real` (double or float): `[x.rows, weight.rows]`.
template <class Real>
std::vector<Real> linear_reference(View<float const, 2> x, View<float const, 2> weight, View<float const, 1> bias);

} // namespace strandwave
