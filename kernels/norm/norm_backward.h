#pragma once

#include "kernels/norm/norm.h"

namespace strandwave {

/// Gradients of norm.h (its names; L is the loss). With r = 1 / sqrt(var + epsilon), n = (x - mean) * r and
/// g = dy * weight, means taken over a row:
///   layer norm:  dx = r * (g - mean(g) - n * mean(g * n))
///   RMS norm:    dx = r * (g - n * mean(g * n)), where the mean of x counts as 0 and var is mean(x^2)
///   dweight[c] += sum_t dy[t,c] * n[t,c]      dbias[c] += sum_t dy[t,c]
/// The sums over a row of x are taken again, not stored. Shapes: x, dy and dx `[T, d]`, d >= 1. dx is written, or added
/// to (`accumulate`: behind a residual branch it joins the gradient of the stream); dweight and dbias are added to.
/// Precision: fp32; sums over a row, and over groups of 16 rows, in double. Determinism: the same bits every run; a row
/// of dx does not depend on other rows. Aliasing: dx overlaps neither x nor dy. Throws: shape_mismatch.
struct NormBackwardArgs {
    View<float const, 2> x;
    View<float const, 1> weight; ///< [d]; empty = ones
    float epsilon = 1e-5F;
    View<float const, 2> dy;
    bool accumulate = false; ///< dx +=
    View<float, 2> dx;
    View<float, 1> dweight; ///< [d] +=; empty = not wanted
    View<float, 1> dbias;   ///< [d] +=; empty = not wanted
};

void rms_norm_backward(NormBackwardArgs const& args);
void layer_norm_backward(NormBackwardArgs const& args);

} // namespace strandwave
