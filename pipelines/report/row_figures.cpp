#include "pipelines/report/row_figures.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kStepsPerOctave = 8;
constexpr double kShortestOctave = -16; // 15 us of sound; the longest is 2^48
constexpr index_t kLengthSteps = 512;

index_t step_of(double share, index_t steps) {
    auto const step = static_cast<index_t>(std::floor(std::clamp(share, 0.0, 1.0) * static_cast<double>(steps)));
    return std::min(step, steps - 1);
}

index_t sum(index_t const* first, index_t count) { return std::accumulate(first, first + count, index_t{0}); }

index_t length_step(double length) {
    double const step = std::floor((std::log2(length) - kShortestOctave) * kStepsPerOctave);
    return static_cast<index_t>(std::clamp(step, 0.0, static_cast<double>(kLengthSteps - 1)));
}

double length_edge(index_t step) { return std::exp2(static_cast<double>(step) / kStepsPerOctave + kShortestOctave); }

} // namespace

void ConfidenceCounts::add(double confidence, Verdict verdict) {
    if (!std::isfinite(confidence)) {
        ++not_finite_;
        return;
    }
    ++counts_[static_cast<std::size_t>(verdict)][static_cast<std::size_t>(step_of(confidence, kSteps))];
}

index_t ConfidenceCounts::rows(Verdict verdict) const {
    return sum(counts_[static_cast<std::size_t>(verdict)].data(), kSteps);
}

index_t ConfidenceCounts::rows() const {
    return rows(Verdict::unlabelled) + rows(Verdict::correct) + rows(Verdict::wrong);
}

std::vector<index_t> ConfidenceCounts::histogram(Verdict verdict, index_t bins) const {
    std::vector<index_t> all;
    index_t const width = kSteps / bins;
    for (index_t bin = 0; bin < bins; ++bin) {
        all.push_back(sum(counts_[static_cast<std::size_t>(verdict)].data() + bin * width, width));
    }
    return all;
}

double ConfidenceCounts::quantile(double share) const {
    index_t const all = rows();
    index_t below = 0;
    for (std::size_t step = 0; step < counts_[0].size(); ++step) {
        for (auto const& of_verdict : counts_) {
            below += of_verdict[step];
        }
        if (below > 0 && static_cast<double>(below) >= share * static_cast<double>(all)) {
            return (static_cast<double>(step) + 0.5) / static_cast<double>(kSteps);
        }
    }
    return std::numeric_limits<double>::quiet_NaN();
}

index_t LengthColumn::all() const { return sum(rows.data(), static_cast<index_t>(rows.size())); }

double LengthColumn::median() const {
    index_t const half = (all() + 1) / 2;
    index_t below = 0;
    for (std::size_t step = 0; step < rows.size(); ++step) {
        below += rows[step];
        if (below >= half && below > 0) { return (static_cast<double>(step) + 0.5) / static_cast<double>(rows.size()); }
    }
    return std::numeric_limits<double>::quiet_NaN();
}

LengthConfidence::LengthConfidence() : steps_(static_cast<std::size_t>(kLengthSteps)) {}

void LengthConfidence::add(double length, double confidence, Verdict verdict) {
    if (!std::isfinite(confidence) || !std::isfinite(length) || length <= 0) { return; }
    auto& step = steps_[static_cast<std::size_t>(length_step(length))];
    ++step.rows[static_cast<std::size_t>(step_of(confidence, kConfidenceSteps))];
    step.labelled += verdict == Verdict::unlabelled ? 0 : 1;
    step.correct += verdict == Verdict::correct ? 1 : 0;
    shortest_ = rows_ == 0 ? length : std::min(shortest_, length);
    longest_ = std::max(longest_, length);
    ++rows_;
}

std::vector<LengthColumn> LengthConfidence::columns(index_t at_most) const {
    if (rows_ == 0) { return {}; }
    index_t const first = length_step(shortest_);
    index_t const end = length_step(longest_) + 1;
    index_t const width = (end - first + at_most - 1) / at_most;
    std::vector<LengthColumn> all;
    for (index_t begin = first; begin < end; begin += width) {
        LengthColumn column;
        column.low = length_edge(begin);
        column.high = length_edge(begin + width);
        column.rows.assign(static_cast<std::size_t>(kConfidenceSteps), 0);
        for (index_t i = begin; i < std::min(begin + width, end); ++i) {
            auto const& step = steps_[static_cast<std::size_t>(i)];
            column.labelled += step.labelled;
            column.correct += step.correct;
            std::transform(step.rows.begin(), step.rows.end(), column.rows.begin(), column.rows.begin(), std::plus<>());
        }
        all.push_back(std::move(column));
    }
    return all;
}

index_t TruthCounts::number(std::string const& name) {
    auto const found = numbers_.find(name);
    if (found != numbers_.end()) { return found->second; }
    auto const next = static_cast<index_t>(numbers_.size());
    return numbers_.emplace(numbers_.size() < kMostNames ? name : "(other)", next).first->second;
}

Verdict TruthCounts::add(std::string const& truth, std::string const& given) {
    ++rows_;
    ++counts_[{number(truth), number(given)}];
    return truth == given ? Verdict::correct : Verdict::wrong;
}

NamedConfusion TruthCounts::confusion(std::vector<std::string> const& order) const {
    std::vector<std::string> names;
    auto const known = [&](std::string const& name) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    for (auto const& name : order) {
        if (numbers_.count(name) > 0 && !known(name)) { names.push_back(name); }
    }
    for (auto const& [name, number] : numbers_) {
        if (!known(name)) { names.push_back(name); }
    }
    std::vector<index_t> places(names.size());
    for (std::size_t i = 0; i < names.size(); ++i) {
        places[static_cast<std::size_t>(numbers_.at(names[i]))] = static_cast<index_t>(i);
    }
    NamedConfusion all{names, Confusion(static_cast<index_t>(names.size()))};
    for (auto const& [pair, rows] : counts_) {
        all.confusion(places[static_cast<std::size_t>(pair.first)], places[static_cast<std::size_t>(pair.second)]) +=
            rows;
    }
    return all;
}

NamedConfusion largest_classes(NamedConfusion const& all, index_t size, std::string const& rest) {
    index_t const classes = all.confusion.classes;
    if (classes <= size) { return all; }
    std::vector<index_t> order(static_cast<std::size_t>(classes));
    std::iota(order.begin(), order.end(), index_t{0});
    auto const weight = [&](index_t k) { return all.confusion.truths(k) + all.confusion.predictions(k); };
    std::stable_sort(order.begin(), order.end(), [&](index_t a, index_t b) { return weight(a) > weight(b); });
    order.resize(static_cast<std::size_t>(size));
    std::sort(order.begin(), order.end());

    NamedConfusion shown{{}, Confusion(size + 1)};
    std::vector<index_t> places(static_cast<std::size_t>(classes), size);
    for (std::size_t i = 0; i < order.size(); ++i) {
        places[static_cast<std::size_t>(order[i])] = static_cast<index_t>(i);
        shown.names.push_back(all.names[static_cast<std::size_t>(order[i])]);
    }
    shown.names.push_back(rest);
    for (index_t t = 0; t < classes; ++t) {
        for (index_t p = 0; p < classes; ++p) {
            shown.confusion(places[static_cast<std::size_t>(t)], places[static_cast<std::size_t>(p)]) +=
                all.confusion(t, p);
        }
    }
    return shown;
}

} // namespace strandwave
