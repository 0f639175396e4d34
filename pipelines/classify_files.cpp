#include "pipelines/classify_files.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strandwave {
namespace {

/// Writes the rows of a table, those of a feed at once.
class RowWriter : public UnitListener {
public:
    RowWriter(std::string const& header, std::ostream& out, UnitListener& listener) : out_(out), listener_(listener) {
        out_ << header;
    }

    void failure(UnitFailure const& failure) final { listener_.failure(failure); }
    void progress(RunReport const& run) final {
        out_ << text_ << std::flush;
        text_.clear();
        listener_.progress(run);
    }
    void finish() { out_ << text_; }

protected:
    std::string& text() noexcept { return text_; } ///< rows go to its end

private:
    std::ostream& out_;
    UnitListener& listener_;
    std::string text_;
};

class Classifier final : public RowWriter {
public:
    Classifier(ModelConfig const& config, double min_probability, ClassTable const& table, std::ostream& out,
               UnitListener& listener)
        : RowWriter(table.header(), out, listener), labels_(config.labels), min_probability_(min_probability),
          table_(table) {
        report.class_rows.assign(labels_.size(), 0);
    }

    void result(UnitResult const& result) override {
        auto const row = classify_unit(result, labels_, min_probability_);
        if (row.label_index < labels_.size()) {
            ++report.class_rows[row.label_index];
        } else {
            ++report.unclassified;
        }
        table_.append(row, text());
    }

    ClassifyReport report;

private:
    std::vector<std::string> const& labels_;
    double min_probability_;
    ClassTable const& table_;
};

class Predictor final : public RowWriter {
public:
    Predictor(ValueTable const& table, std::ostream& out, UnitListener& listener)
        : RowWriter(table.header(), out, listener), table_(table) {}

    void result(UnitResult const& result) override {
        table_.append(result.unit, static_cast<double>(result.vector[0]), text());
    }

private:
    ValueTable const& table_;
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

void check_classifier(ModelConfig const& config) {
    if (config.regression) {
        throw Error(ErrorCode::unsupported, "the model gives a number, no class (problem_type is regression); "
                                            "`strandwave classify` writes its numbers");
    }
    if (config.head != HeadKind::classifier) {
        throw Error(ErrorCode::unsupported, "the model has no classifier head; `strandwave probe` fits one on labelled "
                                            "records and writes a model that has it");
    }
}

ClassRow classify_unit(UnitResult const& result, std::vector<std::string> const& labels, double min_probability) {
    ClassRow row;
    row.unit = result.unit;
    row.probabilities = class_probabilities(result.vector);
    auto const best = std::max_element(row.probabilities.begin(), row.probabilities.end());
    row.probability = *best;
    bool const sure = *best >= min_probability; // false for NaN too
    row.label_index = sure ? static_cast<std::size_t>(best - row.probabilities.begin()) : labels.size();
    row.label = sure ? labels[row.label_index] : std::string(kUnclassified);
    return row;
}

ClassifyReport classify_files(RecordSource& source, Models models, Threads& threads, ClassifyOptions options,
                              ClassTable const& table, std::ostream& out, UnitListener& listener) {
    check_classifier(models.front()->config());
    options.run.logits = true;
    Classifier classifier(models.front()->config(), options.min_probability, table, out, listener);
    classifier.report.run = run_units(source, models, threads, options.run, classifier);
    classifier.finish();
    return std::move(classifier.report);
}

RunReport predict_files(RecordSource& source, Models models, Threads& threads, UnitRunOptions options,
                        ValueTable const& table, std::ostream& out, UnitListener& listener) {
    options.logits = true;
    Predictor predictor(table, out, listener);
    auto report = run_units(source, models, threads, options, predictor);
    predictor.finish();
    return report;
}

} // namespace strandwave
