#pragma once

#include "kernels/cross_entropy/cross_entropy.h"

#include <vector>

namespace strandwave {

/// What the formulas of cross_entropy.h give: the sum of losses and the gradient `[rows, cols]`.
template <class Real>
struct LossReference {
    Real loss = 0;
    std::vector<Real> gradient;
};

/// Plain loops in `Real` (double or float) over logits in `Real`, so that a test can move one of them a little.
/// `logits`
/// `[rows, cols]` without gaps stand for those of `args`, whose outputs are not written.
template <class Real>
LossReference<Real> cross_entropy_reference(std::vector<Real> const& logits, CrossEntropyArgs const& args);
template <class Real>
LossReference<Real> soft_cross_entropy_reference(std::vector<Real> const& y, RowLossArgs const& args);
template <class Real>
LossReference<Real> squared_error_reference(std::vector<Real> const& y, RowLossArgs const& args);

} // namespace strandwave
