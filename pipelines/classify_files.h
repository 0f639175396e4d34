#pragma once

#include "pipelines/table_writer.h"
#include "pipelines/unit_runner.h"

#include <ostream>
#include <span>
#include <string_view>
#include <vector>

namespace strandwave {

inline constexpr std::string_view kUnclassified = "unclassified";

struct ClassifyOptions {
    UnitRunOptions run;         ///< `logits` is set by classify_files
    double min_probability = 0; ///< a best class below it is reported as kUnclassified
};

struct ClassifyReport {
    RunReport run;
    std::vector<index_t> class_rows; ///< rows given to each label
    index_t unclassified = 0;
};

/// Probabilities of the classes: softmax, in double. A single logit is one class against none: its sigmoid.
std::vector<double> class_probabilities(std::span<float const> logits);

/// Throws unsupported, naming a command to use, for a model without a classifier head and for one of a regression.
void check_classifier(ModelConfig const& config);

/// The row that the logits of a unit make. One whose logits are not finite is kUnclassified.
ClassRow classify_unit(UnitResult const& result, std::vector<std::string> const& labels, double min_probability);

/// Classifies every unit of `source`, in input order: the table goes to `out`, whose owner checks its state.
/// `listener` hears failures and progress. Throws what check_classifier and run_units throw.
ClassifyReport classify_files(RecordSource& source, Models models, Threads& threads, ClassifyOptions options,
                              ClassTable const& table, std::ostream& out, UnitListener& listener);

/// The same of a regression: the number of every unit.
RunReport predict_files(RecordSource& source, Models models, Threads& threads, UnitRunOptions options,
                        ValueTable const& table, std::ostream& out, UnitListener& listener);

} // namespace strandwave
