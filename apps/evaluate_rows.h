#pragma once

#include "apps/evaluate_report.h"
#include "apps/progress.h"
#include "pipelines/record_labels.h"

#include <set>
#include <string>
#include <vector>

namespace strandwave {

/// Rows that are left out: how many, and the name of the first.
struct LeftOut {
    index_t rows = 0;
    std::string first;

    void add(Unit const& unit) {
        if (rows++ == 0) { first = unit.name; }
    }
};

/// What a model says of each row whose label is known.
class LabelledRows : public LoggingListener {
public:
    LabelledRows(Progress& progress, LabelSource const& labels) : LoggingListener(progress), labels_(labels) {}

    void result(UnitResult const& result) final;
    void failure(UnitFailure const& failure) final;

    /// Throws not_found for labels that the model cannot have meant.
    virtual void refuse_unknown_labels() const {}

    LeftOut unlabelled, not_finite, no_number;
    std::optional<Error> first_failure;

private:
    virtual void add(UnitResult const& result, std::string const& label) = 0;

    LabelSource const& labels_;
};

/// Of a classifier.
class ClassRows final : public LabelledRows {
public:
    ClassRows(Progress& progress, LabelSource const& labels, std::vector<std::string> classes)
        : LabelledRows(progress, labels) {
        rows.classes = std::move(classes);
    }

    /// A feed after the first unknown label it is refused, so that a long run does not go on for nothing, and a short
    /// one names all.
    void progress(RunReport const& report) override;
    void refuse_unknown_labels() const override;

    EvaluatedRows rows;

private:
    void add(UnitResult const& result, std::string const& label) override;

    std::set<std::string> unknown_;
    bool found_unknown_ = false;
};

/// Of a regression.
class NumberRows final : public LabelledRows {
public:
    using LabelledRows::LabelledRows;

    EvaluatedNumbers rows;

private:
    void add(UnitResult const& result, std::string const& label) override;
};

} // namespace strandwave
