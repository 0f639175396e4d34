#pragma once

#include "lib/core/view.h"
#include "pipelines/classification_metrics.h"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// What the rows of a run are added up to: each of these takes bounded memory however many rows there are.

namespace strandwave {

enum class Verdict : std::uint8_t { unlabelled, correct, wrong };
inline constexpr std::size_t kVerdicts = 3;

/// How many rows have which confidence, the probability of the class that they were given.
class ConfidenceCounts {
public:
    static constexpr index_t kSteps = 1000; ///< counted in thousandths; 1 belongs to the last

    void add(double confidence, Verdict verdict); ///< what is not finite is counted apart
    index_t rows() const;                         ///< with a finite confidence
    index_t rows(Verdict verdict) const;
    index_t not_finite() const noexcept { return not_finite_; }

    /// Rows with a confidence in [i / bins, (i + 1) / bins), of the last bin also 1. `bins` divides kSteps.
    std::vector<index_t> histogram(Verdict verdict, index_t bins) const;

    /// The confidence that `share` of the rows do not reach, to a thousandth; NaN without rows.
    double quantile(double share) const;

private:
    std::array<std::array<index_t, kSteps>, kVerdicts> counts_{};
    index_t not_finite_ = 0;
};

/// Rows of a range of lengths.
struct LengthColumn {
    double low = 0, high = 0;  ///< [low, high)
    std::vector<index_t> rows; ///< by confidence, kConfidenceSteps
    index_t labelled = 0;      ///< rows whose class is known,
    index_t correct = 0;       ///< and found
    index_t all() const;
    double median() const; ///< of the confidence: the middle of its step
};

/// How many rows have which length and confidence. Lengths are in steps of an eighth of an octave.
class LengthConfidence {
public:
    static constexpr index_t kConfidenceSteps = 40;

    LengthConfidence();
    void add(double length, double confidence, Verdict verdict); ///< leaves out what is not finite or not positive
    index_t rows() const noexcept { return rows_; }
    double shortest() const noexcept { return shortest_; }
    double longest() const noexcept { return longest_; }

    /// From the shortest to the longest row, in equal steps of the logarithm, `at_most` columns.
    std::vector<LengthColumn> columns(index_t at_most) const;

private:
    struct Step {
        std::array<index_t, kConfidenceSteps> rows{};
        index_t labelled = 0;
        index_t correct = 0;
    };
    std::vector<Step> steps_;
    index_t rows_ = 0;
    double shortest_ = 0, longest_ = 0;
};

struct NamedConfusion {
    std::vector<std::string> names;
    Confusion confusion;
};

/// True classes against those that rows were given, by name. A row without a class is of class `unclassified`, which
/// is never true, so it counts as wrong.
class TruthCounts {
public:
    static constexpr std::size_t kMostNames = 500; ///< the rows of further classes are of one class, "(other)"

    Verdict add(std::string const& truth, std::string const& given);
    index_t rows() const noexcept { return rows_; }

    /// The classes that occur: those of `order` first, in its order, the others by name.
    NamedConfusion confusion(std::vector<std::string> const& order) const;

private:
    index_t number(std::string const& name);

    std::map<std::string, index_t> numbers_;
    std::map<std::pair<index_t, index_t>, index_t> counts_;
    index_t rows_ = 0;
};

/// The largest `size` classes, the others merged into one behind them, `rest`. Unchanged where there are no more.
NamedConfusion largest_classes(NamedConfusion const& all, index_t size, std::string const& rest);

} // namespace strandwave
