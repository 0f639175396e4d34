#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

struct LinearProbeOptions {
    double validation = 0.2; ///< share of every class that is held out, in (0, 1)
    std::uint64_t seed = 1;  ///< of the split
    /// [n], rows of equal number are never split: the windows of one record. Empty: every row stands for itself.
    std::span<index_t const> groups;
    int max_iterations = 500;
    int patience = 20; ///< iterations without a lower held-out loss before a fit ends
};

/// A fitted head and what is known about it.
struct LinearProbe {
    std::vector<float> weight;        ///< [classes, features], for features as they come (standardisation folded in)
    std::vector<float> bias;          ///< [classes]
    double lambda = 0;                ///< the strength of the penalty that the held-out split chose
    std::vector<index_t> fitted_rows; ///< that the weights were fitted on, ascending
    std::vector<index_t> validation_rows; ///< that were held out
    index_t fitted_correct = 0;
    index_t validation_correct = 0;
    std::vector<index_t>
        confusion; ///< [classes, classes] of the held-out rows: true classes down, predicted ones across
};

/// Multinomial logistic regression on frozen features: minimises
///     mean_i(-log softmax(W z_i + b)[y_i]) + lambda / 2 * |W|^2,    z = standardised features,
/// in double precision by L-BFGS (liblbfgs). A share of every class is held out; the iteration and the lambda (of
/// 1, 0.1, ... 1e-5) with the lowest held-out loss win. `features` is `[n, f]`, `labels[i]` in [0, classes).
/// Deterministic: the same input and seed give the same bits.
/// Throws shape_mismatch, invalid_argument (fewer than two classes, a class without a row, none with two to
/// hold one out, a feature that is not finite).
LinearProbe fit_linear_probe(View<float const, 2> features, std::span<std::int32_t const> labels, index_t classes,
                             LinearProbeOptions const& options = {});

} // namespace strandwave
