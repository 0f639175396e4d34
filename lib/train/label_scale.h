#pragma once

#include "lib/train/parameters.h"

namespace strandwave {

/// What numbers that a model learns have in common. Training sees (label - mean) / deviation, so that the loss and the
/// gradients do not depend on the unit of the labels.
struct LabelScale {
    double mean = 0;
    double deviation = 1; ///< the root of the mean square around `mean`; 1 where all labels are equal

    double standardised(double label) const noexcept { return (label - mean) / deviation; }
};

/// Throws invalid_argument: no label.
LabelScale label_scale(std::span<float const> labels);

/// The head in `values` (one output, with a bias), from giving labels as they are to giving them standardised, and
/// back. A model directory has the former, a training the latter. Rounds to fp32: of labels whose mean is so many times
/// their deviation, so many times 6e-8 of a deviation is lost.
void standardise_head(ModelParameters const& parameters, LabelScale const& scale, std::span<float> values);
void restore_head(ModelParameters const& parameters, LabelScale const& scale, std::span<float> values);

} // namespace strandwave
