#pragma once

#include "apps/common_options.h"
#include "pipelines/unit_runner.h"

#include <memory>

namespace strandwave {

/// Most records, as a share, that may get another label than from the model on the cpu in f32.
inline constexpr double kMostLabelsChanged = 0.002;

/// How two loads of one classifier label the same rows.
struct LabelComparison {
    index_t rows = 0;    ///< that both have labelled
    index_t changed = 0; ///< whose labels differ
    RunReport report;    ///< of the model that is compared, not the reference

    /// Not a number where there are no rows.
    double share() const { return static_cast<double>(changed) / static_cast<double>(rows); }
};

/// Throws unsupported for a model without a classifier head, invalid_argument for stdin or a pipe, which cannot be read
/// twice.
void check_labels_comparable(Model const& model, InputFlags const& input);

/// Classifies the inputs with the opened model and with `reference`.
LabelComparison compare_labels(OpenedModel const& opened, std::shared_ptr<Model const> const& reference,
                               InputFlags const& input, LogOptions const& log);

} // namespace strandwave
