#pragma once

#include "lib/core/view.h"

namespace strandwave {

/// Row-wise normalisation.
///   RMS norm (Zhang & Sennrich 2019, arXiv:1910.07467, equation 4):  y = x / sqrt(mean(x^2) + epsilon) * weight
///   layer norm (Ba et al. 2016, arXiv:1607.06450, equation 3):  y = (x - mean) / sqrt(var + epsilon) * weight + bias
/// Shapes: x and y `[T, d]`, d >= 1. Precision: fp32; sums over a row in double.
/// Determinism: a row's bits do not depend on other rows. Aliasing: y may be x.
/// Throws: shape_mismatch.
struct NormArgs {
    View<float const, 2> x;
    View<float const, 1> weight; ///< [d]; empty = ones
    View<float const, 1> bias;   ///< [d]; empty = zeros
    float epsilon = 1e-5F;
    View<float, 2> y;
};

void rms_norm(NormArgs const& args);
void layer_norm(NormArgs const& args);

} // namespace strandwave
