#include "pipelines/bootstrap.h"

#include "lib/core/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// The group of each row, counted from 0 in the order of their numbers; every row its own if none are given.
std::vector<index_t> dense_groups(index_t rows, std::span<index_t const> given) {
    std::vector<index_t> groups(static_cast<std::size_t>(rows));
    std::iota(groups.begin(), groups.end(), index_t{0});
    if (given.empty()) { return groups; }
    std::map<index_t, index_t> number;
    for (index_t const group : given) {
        number.emplace(group, 0);
    }
    index_t next = 0;
    for (auto& entry : number) {
        entry.second = next++;
    }
    std::transform(given.begin(), given.end(), groups.begin(), [&](index_t group) { return number.at(group); });
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

std::vector<Interval> bootstrap(index_t rows, std::span<index_t const> given_groups, std::size_t scores,
                                BootstrapOptions const& options, ScoreOfResample const& score) {
    std::vector<Interval> intervals(scores, {kNaN, kNaN});
    auto const groups = dense_groups(rows, given_groups);
    auto const last = std::max_element(groups.begin(), groups.end());
    auto const group_count = static_cast<std::uint64_t>(last == groups.end() ? 0 : *last + 1);
    if (group_count < 2) { return intervals; }

    Random random(options.seed);
    std::vector<index_t> drawn(group_count);
    std::vector<index_t> weights(groups.size());
    std::vector<double> values(scores);
    std::vector<Sample> samples(scores);
    for (index_t i = 0; i < options.resamples; ++i) {
        std::fill(drawn.begin(), drawn.end(), 0);
        for (std::uint64_t draw = 0; draw < group_count; ++draw) {
            ++drawn[random.below(group_count)];
        }
        std::transform(groups.begin(), groups.end(), weights.begin(),
                       [&](index_t group) { return drawn[static_cast<std::size_t>(group)]; });
        score(weights, values);
        for (std::size_t s = 0; s < scores; ++s) {
            samples[s].add(values[s]);
        }
    }
    std::transform(samples.begin(), samples.end(), intervals.begin(),
                   [&](Sample& sample) { return sample.interval(options.level); });
    return intervals;
}

} // namespace strandwave
