#include "apps/verify_labels.h"

#include "apps/progress.h"
#include "formats/byte_source.h"
#include "lib/core/error.h"
#include "pipelines/classify_files.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace strandwave {
namespace {

struct Label {
    index_t record = 0;
    index_t start = 0;
    std::ptrdiff_t label = -1; ///< -1: the logits are not finite

    auto place() const { return std::tuple(record, start); }
};

/// The labels of all rows, in input order.
class Labels final : public LoggingListener {
public:
    /// A failure that `told` holds is not logged again; others are, and join it.
    Labels(Progress& progress, std::set<std::string>& told) : LoggingListener(progress), told_(told) {}

    void failure(UnitFailure const& failure) override {
        if (told_.insert(failure.error.message()).second) { LoggingListener::failure(failure); }
    }

    void result(UnitResult const& result) override {
        auto const probabilities = class_probabilities(result.vector);
        auto const best = std::max_element(probabilities.begin(), probabilities.end());
        bool const finite = *best >= 0;
        labels_.push_back({result.unit.record, result.unit.start, finite ? best - probabilities.begin() : -1});
    }

    std::vector<Label> take() { return std::move(labels_); }

private:
    std::set<std::string>& told_;
    std::vector<Label> labels_;
};

/// Rows that only one of the two could run are not compared; whoever failed has said so.
void count(std::vector<Label> const& ours, std::vector<Label> const& theirs, LabelComparison& comparison) {
    auto other = theirs.begin();
    for (Label const& label : ours) {
        other = std::find_if(other, theirs.end(), [&](Label const& one) { return one.place() >= label.place(); });
        if (other == theirs.end()) { return; }
        if (other->place() != label.place()) { continue; }
        ++comparison.rows;
        if (other->label != label.label) { ++comparison.changed; }
    }
}

} // namespace

void check_labels_comparable(Model const& model, InputFlags const& input) {
    if (model.config().head != HeadKind::classifier || model.config().regression) {
        throw Error(ErrorCode::unsupported,
                    "the model has no classifier head, so inputs have no labels to compare; give "
                    "verify the model directory alone");
    }
    auto const once = std::find_if(input.files.begin(), input.files.end(), is_read_only_once);
    if (once != input.files.end()) {
        throw Error(ErrorCode::invalid_argument, input_name(*once) +
                                                     ": can be read only once, and verify reads its inputs twice; "
                                                     "store it in a file first");
    }
}

LabelComparison compare_labels(OpenedModel const& opened, std::shared_ptr<Model const> const& reference,
                               InputFlags const& input, LogOptions const& log) {
    UnitRunOptions options;
    options.chunk = opened.chunk;
    options.pooling = opened.preprocessor.pooling;
    options.logits = true;
    LabelComparison comparison;
    std::set<std::string> told; // both read the same files
    auto const labels_of = [&](std::shared_ptr<Model const> const& model) {
        RecordSource source(input.files, source_options(input, opened));
        Progress progress(log, input.files);
        Labels labels(progress, told);
        comparison.report = run_units(source, model, *opened.threads, options, labels);
        return labels.take();
    };
    auto const theirs = labels_of(reference);
    auto const ours = labels_of(opened.model);
    count(ours, theirs, comparison);
    return comparison;
}

} // namespace strandwave
