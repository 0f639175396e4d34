#include "pipelines/classify_files.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

class Classifier final : public UnitListener {
public:
    Classifier(ModelConfig const& config, double min_probability, ClassTable& table, UnitListener& listener)
        : labels_(config.labels), min_probability_(min_probability), table_(table), listener_(listener) {
        report.class_rows.assign(labels_.size(), 0);
    }

    void result(UnitResult const& result) override {
        ClassRow row;
        row.unit = result.unit;
        row.probabilities = class_probabilities(result.vector);
        auto const best = std::max_element(row.probabilities.begin(), row.probabilities.end());
        row.probability = *best;
        if (*best >= min_probability_) { // false for NaN too
            auto const index = static_cast<std::size_t>(best - row.probabilities.begin());
            row.label = labels_[index];
            ++report.class_rows[index];
        } else {
            row.label = kUnclassified;
            ++report.unclassified;
        }
        table_.write(row);
    }
    void failure(UnitFailure const& failure) override { listener_.failure(failure); }
    void progress(RunReport const& run) override {
        table_.flush();
        listener_.progress(run);
    }

    ClassifyReport report;

private:
    std::vector<std::string> const& labels_;
    double min_probability_;
    ClassTable& table_;
    UnitListener& listener_;
};

} // namespace

std::vector<double> class_probabilities(std::span<float const> logits) {
    if (logits.size() == 1) { return {1.0 / (1.0 + std::exp(-static_cast<double>(logits[0])))}; }
    double const top = *std::max_element(logits.begin(), logits.end());
    std::vector<double> probabilities;
    double sum = 0;
    for (float const logit : logits) {
        probabilities.push_back(std::exp(static_cast<double>(logit) - top));
        sum += probabilities.back();
    }
    for (double& probability : probabilities) {
        probability /= sum;
    }
    return probabilities;
}

ClassifyReport classify_files(RecordSource& source, Models models, Threads& threads, ClassifyOptions options,
                              ClassTable& table, UnitListener& listener) {
    if (models.front()->config().head != HeadKind::classifier) {
        throw Error(ErrorCode::unsupported, "the model has no classifier head; `strandwave probe` fits one on labelled "
                                            "records and writes a model that has it");
    }
    options.run.logits = true;
    Classifier classifier(models.front()->config(), options.min_probability, table, listener);
    classifier.report.run = run_units(source, models, threads, options.run, classifier);
    return std::move(classifier.report);
}

} // namespace strandwave
