#include "pipelines/regression_metrics.h"

#include "lib/core/check.h"
#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Weights = std::span<index_t const>; ///< how often each row counts

/// Summed from the first value that counts on, so that equal values have no spread around their mean.
double mean(std::span<double const> values, Weights weights) {
    auto const counts = std::find_if(weights.begin(), weights.end(), [](index_t weight) { return weight > 0; });
    double const first = values[static_cast<std::size_t>(counts - weights.begin())];
    double sum = 0;
    double count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        sum += static_cast<double>(weights[i]) * (values[i] - first);
        count += static_cast<double>(weights[i]);
    }
    return first + sum / count;
}

double correlation(std::span<double const> x, std::span<double const> y, Weights weights) {
    double const mean_x = mean(x, weights);
    double const mean_y = mean(y, weights);
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        auto const w = static_cast<double>(weights[i]);
        double const dx = x[i] - mean_x;
        double const dy = y[i] - mean_y;
        xx += w * dx * dx;
        yy += w * dy * dy;
        xy += w * dx * dy;
    }
    return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : kNaN;
}

/// The rows in the order of a number, sorted once for all resamples.
class Ranked {
public:
    explicit Ranked(std::span<double const> values) : values_(values), order_(values.size()) {
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::sort(order_.begin(), order_.end(), [&](auto a, auto b) { return values[a] < values[b]; });
    }

    /// Of each row; a row that counts w times takes w neighbouring ranks, equal numbers their mean.
    std::vector<double> ranks(Weights weights) const {
        std::vector<double> ranks(order_.size());
        double below = 0;
        for (std::size_t begin = 0, end = 0; begin < order_.size(); begin = end) {
            double tied = 0;
            for (; end < order_.size() && values_[order_[end]] == values_[order_[begin]]; ++end) {
                tied += static_cast<double>(weights[order_[end]]);
            }
            for (std::size_t i = begin; i < end; ++i) {
                ranks[order_[i]] = below + (tied + 1) / 2;
            }
            below += tied;
        }
        return ranks;
    }

private:
    std::span<double const> values_;
    std::vector<std::size_t> order_;
};

class Scorer {
public:
    explicit Scorer(ScoredNumbers const& rows) : rows_(rows), truth_(rows.truth), predicted_(rows.predicted) {}

    RegressionScores operator()(Weights weights) const {
        double const middle = mean(rows_.truth, weights);
        double count = 0;
        double absolute = 0;
        double squares = 0;
        double spread = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            auto const w = static_cast<double>(weights[i]);
            double const error = rows_.predicted[i] - rows_.truth[i];
            count += w;
            absolute += w * std::abs(error);
            squares += w * error * error;
            spread += w * (rows_.truth[i] - middle) * (rows_.truth[i] - middle);
        }
        return {std::sqrt(squares / count), absolute / count, spread > 0 ? 1 - squares / spread : kNaN,
                correlation(rows_.predicted, rows_.truth, weights),
                correlation(predicted_.ranks(weights), truth_.ranks(weights), weights)};
    }

private:
    ScoredNumbers const& rows_;
    Ranked truth_, predicted_;
};

void check(ScoredNumbers const& rows) {
    auto const n = static_cast<index_t>(rows.truth.size());
    check_extent("regression_metrics", "predicted", static_cast<index_t>(rows.predicted.size()), n);
    if (!rows.groups.empty()) {
        check_extent("regression_metrics", "groups", static_cast<index_t>(rows.groups.size()), n);
    }
    auto const finite = [](std::span<double const> values) {
        return std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); });
    };
    if (n == 0 || !finite(rows.truth) || !finite(rows.predicted)) {
        throw Error(ErrorCode::invalid_argument, "scores of numbers need a row or more, all of them finite");
    }
}

} // namespace

RegressionMetrics regression_metrics(ScoredNumbers const& rows, BootstrapOptions const& options) {
    check(rows);
    Scorer const scorer(rows);
    auto const n = static_cast<index_t>(rows.truth.size());
    auto const intervals = bootstrap(n, rows.groups, 5, options, [&](Weights weights, std::span<double> scores) {
        auto const one = scorer(weights);
        std::array const values = {one.rmse, one.mae, one.r2, one.pearson, one.spearman};
        std::copy(values.begin(), values.end(), scores.begin());
    });
    return {n,
            scorer(std::vector<index_t>(rows.truth.size(), 1)),
            intervals[0],
            intervals[1],
            intervals[2],
            intervals[3],
            intervals[4]};
}

} // namespace strandwave
