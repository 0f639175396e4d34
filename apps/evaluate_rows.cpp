#include "apps/evaluate_rows.h"

#include "lib/core/error.h"
#include "pipelines/classify_files.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strandwave {

void LabelledRows::result(UnitResult const& result) {
    auto const label = labels_.label(result.unit);
    if (!label) { return unlabelled.add(result.unit); }
    add(result, *label);
}

void LabelledRows::failure(UnitFailure const& failure) {
    if (!first_failure) { first_failure = failure.error; }
    LoggingListener::failure(failure);
}

void ClassRows::add(UnitResult const& result, std::string const& label) {
    auto const known = std::find(rows.classes.begin(), rows.classes.end(), label);
    if (known == rows.classes.end()) {
        unknown_.insert(label);
        return;
    }
    auto const probabilities = class_probabilities(result.vector);
    if (!std::all_of(probabilities.begin(), probabilities.end(), [](double p) { return std::isfinite(p); })) {
        return not_finite.add(result.unit);
    }
    rows.units.push_back(result.unit);
    rows.truth.push_back(static_cast<std::int32_t>(known - rows.classes.begin()));
    rows.probabilities.insert(rows.probabilities.end(), probabilities.begin(), probabilities.end());
    rows.records.push_back(result.unit.record);
}

void ClassRows::progress(RunReport const& report) {
    if (std::exchange(found_unknown_, !unknown_.empty())) { refuse_unknown_labels(); }
    LoggingListener::progress(report);
}

void ClassRows::refuse_unknown_labels() const {
    if (unknown_.empty()) { return; }
    std::string names;
    for (auto const& name : unknown_) {
        names += (names.empty() ? "'" : ", '") + name + "'";
    }
    std::string known;
    for (auto const& name : rows.classes) {
        known += (known.empty() ? "" : ", ") + name;
    }
    throw Error(ErrorCode::not_found, "the model has no class " + names + " that the labels name; it knows " + known);
}

void NumberRows::add(UnitResult const& result, std::string const& label) {
    auto const truth = label_value(label);
    if (!truth) { return no_number.add(result.unit); }
    auto const predicted = static_cast<double>(result.vector[0]);
    if (!std::isfinite(predicted)) { return not_finite.add(result.unit); }
    rows.units.push_back(result.unit);
    rows.truth.push_back(*truth);
    rows.predicted.push_back(predicted);
    rows.records.push_back(result.unit.record);
}

} // namespace strandwave
