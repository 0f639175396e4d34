#pragma once

#include "pipelines/classification_metrics.h"
#include "pipelines/record_source.h"
#include "pipelines/regression_metrics.h"

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

namespace strandwave {

/// The labelled rows of a run, in input order.
struct EvaluatedRows {
    std::vector<std::string> classes;
    std::vector<Unit> units;
    std::vector<std::int32_t> truth;
    std::vector<double> probabilities; ///< [units, classes]
    std::vector<index_t> records;      ///< which record each row is of

    ScoredRows scored() const {
        auto const rows = static_cast<index_t>(units.size());
        return {truth, {probabilities.data(), rows, static_cast<index_t>(classes.size())}, records};
    }
};

/// Those of a regression.
struct EvaluatedNumbers {
    std::vector<Unit> units;
    std::vector<double> truth, predicted;
    std::vector<index_t> records;

    ScoredNumbers scored() const { return {truth, predicted, records}; }
};

inline ClassificationMetrics score(EvaluatedRows const& rows, BootstrapOptions const& options) {
    return classification_metrics(rows.scored(), options);
}
inline RegressionMetrics score(EvaluatedNumbers const& rows, BootstrapOptions const& options) {
    return regression_metrics(rows.scored(), options);
}

/// What metrics.json says of the run beside its figures.
struct EvaluationOrigin {
    std::string model;  ///< as it was given
    std::string labels; ///< the table, or where else labels came from
    index_t unlabelled = 0;
    index_t failed = 0;
    BootstrapOptions bootstrap;
};

/// metric, value, low, high, tab-separated, six significant digits; an empty cell is a figure that does not exist.
void print_metrics(std::ostream& out, ClassificationMetrics const& metrics);
void print_metrics(std::ostream& out, RegressionMetrics const& metrics);

/// Writes metrics.tsv, confusion.tsv, per_class.tsv, calibration.tsv, coverage.tsv, predictions.tsv, metrics.json and
/// confusion.svg into the folder. Throws io.
void write_evaluation(std::filesystem::path const& folder, EvaluatedRows const& rows,
                      ClassificationMetrics const& metrics, EvaluationOrigin const& origin);

/// Of a regression: metrics.tsv, predictions.tsv, metrics.json.
void write_evaluation(std::filesystem::path const& folder, EvaluatedNumbers const& rows,
                      RegressionMetrics const& metrics, EvaluationOrigin const& origin);

} // namespace strandwave
