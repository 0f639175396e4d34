#include "pipelines/classification_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Weights = std::span<index_t const>; ///< how often each row counts

/// The rows in the order of one class's probability, sorted once for all resamples.
class RankedClass {
public:
    RankedClass(ScoredRows const& rows, index_t k) : order_(rows.truth.size()) {
        std::iota(order_.begin(), order_.end(), index_t{0});
        auto const p = [&](index_t row) { return rows.probabilities(row, k); };
        std::sort(order_.begin(), order_.end(), [&](index_t a, index_t b) { return p(a) < p(b); });
        for (std::size_t i = 0; i < order_.size(); ++i) {
            bool const inside = rows.truth[static_cast<std::size_t>(order_[i])] == k;
            bool const last = i + 1 == order_.size() || p(order_[i]) != p(order_[i + 1]);
            // One word a place: row, whether it is of the class, whether a run of ties ends here.
            order_[i] = order_[i] * 4 + (inside ? 2 : 0) + (last ? 1 : 0);
        }
    }

    /// NaN without a row of the class, or without one of the rest. All sums are whole, or halves: exact below 2^53.
    double auroc(Weights weights) const {
        index_t inside = 0; // of the class, and of the rest, so far
        index_t outside = 0;
        index_t tied_inside = 0;
        index_t tied_outside = 0;
        double wins = 0;
        for (index_t const place : order_) {
            index_t const weight = weights[static_cast<std::size_t>(place >> 2)];
            index_t const of_class = weight * (place >> 1 & 1); // without a branch: which rows are is not predictable
            tied_inside += of_class;
            tied_outside += weight - of_class;
            if ((place & 1) == 0) { continue; }
            wins += static_cast<double>(tied_inside) *
                    (static_cast<double>(outside) + 0.5 * static_cast<double>(tied_outside));
            inside += tied_inside;
            outside += tied_outside;
            tied_inside = tied_outside = 0;
        }
        if (inside == 0 || outside == 0) { return kNaN; }
        return wins / (static_cast<double>(inside) * static_cast<double>(outside));
    }

private:
    std::vector<index_t> order_;
};

std::vector<RankedClass> ranked_classes(ScoredRows const& rows) {
    std::vector<RankedClass> ranked;
    for (index_t k = 0; k < rows.classes(); ++k) {
        ranked.emplace_back(rows, k);
    }
    return ranked;
}

double macro_auroc(std::vector<RankedClass> const& ranked, Weights weights) {
    double sum = 0;
    index_t count = 0;
    for (auto const& one : ranked) {
        double const area = one.auroc(weights);
        if (std::isnan(area)) { continue; }
        sum += area;
        ++count;
    }
    return count > 0 ? sum / static_cast<double>(count) : kNaN;
}

} // namespace

double macro_auroc(ScoredRows const& rows) {
    return macro_auroc(ranked_classes(rows), std::vector<index_t>(rows.truth.size(), 1));
}

BootstrapIntervals bootstrap_intervals(ScoredRows const& rows, BootstrapOptions const& options) {
    auto const ranked = ranked_classes(rows);
    std::vector<index_t> predicted;
    for (index_t row = 0; row < rows.rows(); ++row) {
        predicted.push_back(predicted_class(rows.probabilities, row));
    }
    auto const intervals = bootstrap(rows.rows(), rows.groups, 4, options, [&](Weights weights, auto scores) {
        Confusion confusion(rows.classes());
        for (std::size_t row = 0; row < weights.size(); ++row) {
            confusion(rows.truth[row], predicted[row]) += weights[row];
        }
        scores[0] = accuracy(confusion);
        scores[1] = balanced_accuracy(confusion);
        scores[2] = matthews_correlation(confusion);
        scores[3] = macro_auroc(ranked, weights);
    });
    return {intervals[0], intervals[1], intervals[2], intervals[3]};
}

} // namespace strandwave
