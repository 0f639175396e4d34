#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace strandwave {

/// Where a score lies. NaN where it cannot be known.
struct Interval {
    double low = 0;
    double high = 0;
};

struct BootstrapOptions {
    index_t resamples = 1000;
    double level = 0.95;
    std::uint64_t seed = 1; ///< of SplitMix64 (lib/core/random.h)
};

/// Puts the scores of a resample, in which row i counts weights[i] times, into `scores`.
using ScoreOfResample = std::function<void(std::span<index_t const> weights, std::span<double> scores)>;

/// Percentile bootstrap (Efron and Tibshirani 1993, chapter 13) of `scores` scores of the same rows: rows are drawn
/// with replacement as many times as there are rows, and a score's quantiles over the resamples are its interval,
/// interpolated linearly between order statistics. With `groups` `[rows]` whole groups of equal number are drawn (the
/// cluster bootstrap): windows of one record are no independent rows; empty: each row by itself. Resamples in which a
/// score is NaN are left out of it. NaN for fewer than two groups. Same input, same bits.
std::vector<Interval> bootstrap(index_t rows, std::span<index_t const> groups, std::size_t scores,
                                BootstrapOptions const& options, ScoreOfResample const& score);

} // namespace strandwave
