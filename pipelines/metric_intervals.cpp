#include "lib/core/random.h"
#include "pipelines/classification_metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

using Weights = std::vector<index_t>; ///< how often each row counts

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
    double auroc(Weights const& weights) const {
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

double macro_auroc(std::vector<RankedClass> const& ranked, Weights const& weights) {
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

/// The group of each row, counted from 0 in the order of their numbers; every row its own if none are given.
std::vector<index_t> dense_groups(ScoredRows const& rows) {
    std::vector<index_t> groups(rows.truth.size());
    std::iota(groups.begin(), groups.end(), index_t{0});
    if (rows.groups.empty()) { return groups; }
    std::map<index_t, index_t> number;
    for (index_t const group : rows.groups) {
        number.emplace(group, 0);
    }
    index_t next = 0;
    for (auto& entry : number) {
        entry.second = next++;
    }
    std::transform(rows.groups.begin(), rows.groups.end(), groups.begin(),
                   [&](index_t group) { return number.at(group); });
    return groups;
}

/// The scores of one kind, over the resamples.
class Sample {
public:
    void add(double value) {
        if (!std::isnan(value)) { values_.push_back(value); }
    }

    Interval interval(double level) {
        if (values_.empty()) { return {kNaN, kNaN}; }
        std::sort(values_.begin(), values_.end());
        return {quantile(0.5 - level / 2), quantile(0.5 + level / 2)};
    }

private:
    double quantile(double share) const {
        double const place = share * static_cast<double>(values_.size() - 1);
        auto const below = static_cast<std::size_t>(place);
        auto const above = std::min(below + 1, values_.size() - 1);
        return values_[below] + (values_[above] - values_[below]) * (place - static_cast<double>(below));
    }

    std::vector<double> values_;
};

} // namespace

double macro_auroc(ScoredRows const& rows) { return macro_auroc(ranked_classes(rows), Weights(rows.truth.size(), 1)); }

BootstrapIntervals bootstrap_intervals(ScoredRows const& rows, BootstrapOptions const& options) {
    auto const groups = dense_groups(rows);
    auto const group_count = static_cast<std::uint64_t>(*std::max_element(groups.begin(), groups.end()) + 1);
    Interval const unknown{kNaN, kNaN};
    if (group_count < 2) { return {unknown, unknown, unknown, unknown}; }

    auto const ranked = ranked_classes(rows);
    std::vector<index_t> predicted;
    for (index_t row = 0; row < rows.rows(); ++row) {
        predicted.push_back(predicted_class(rows.probabilities, row));
    }
    Random random(options.seed);
    Weights drawn(group_count);
    Weights weights(groups.size());
    Sample accuracies, balanced, correlations, areas;
    for (index_t i = 0; i < options.resamples; ++i) {
        std::fill(drawn.begin(), drawn.end(), 0);
        for (std::uint64_t draw = 0; draw < group_count; ++draw) {
            ++drawn[random.below(group_count)];
        }
        Confusion confusion(rows.classes());
        for (std::size_t row = 0; row < groups.size(); ++row) {
            weights[row] = drawn[static_cast<std::size_t>(groups[row])];
            confusion(rows.truth[row], predicted[row]) += weights[row];
        }
        accuracies.add(accuracy(confusion));
        balanced.add(balanced_accuracy(confusion));
        correlations.add(matthews_correlation(confusion));
        areas.add(macro_auroc(ranked, weights));
    }
    return {accuracies.interval(options.level), balanced.interval(options.level), correlations.interval(options.level),
            areas.interval(options.level)};
}

} // namespace strandwave
