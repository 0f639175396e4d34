#pragma once

#include "pipelines/bootstrap.h"

namespace strandwave {

/// Rows with a known number and the one that a model gives them.
struct ScoredNumbers {
    std::span<double const> truth;        ///< [n], finite
    std::span<double const> predicted;    ///< [n], finite
    std::span<index_t const> groups = {}; ///< [n]: rows of equal number are drawn together; empty: each by itself
};

/// NaN where there is nothing to divide by: all rows of one truth (r2, pearson, spearman), or of one prediction
/// (pearson, spearman).
struct RegressionScores {
    double rmse = 0;     ///< sqrt(mean (y - t)^2), in the units of the labels
    double mae = 0;      ///< mean |y - t|
    double r2 = 0;       ///< 1 - sum (y - t)^2 / sum (t - mean t)^2: 0 for who always says the mean
    double pearson = 0;  ///< correlation of y and t
    double spearman = 0; ///< correlation of their ranks, of equal ones the mean rank
};

struct RegressionMetrics {
    index_t rows = 0;
    RegressionScores scores;
    Interval rmse, mae, r2, pearson, spearman; ///< by `bootstrap`
};

/// Throws shape_mismatch (extents that differ), invalid_argument (no row, a number that is not finite).
RegressionMetrics regression_metrics(ScoredNumbers const& rows, BootstrapOptions const& options = {});

} // namespace strandwave
