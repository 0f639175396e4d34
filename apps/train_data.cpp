#include "apps/train_data.h"

#include "apps/progress.h"
#include "lib/core/error.h"
#include "pipelines/synthetic_batches.h"

#include <algorithm>
#include <numeric>

namespace strandwave {
namespace {

constexpr index_t kNamesShown = 8;

std::size_t as_size(index_t n) { return static_cast<std::size_t>(n); }

/// The class weights n / (classes * n_k) of the examples.
std::vector<float> balance(TrainingSet const& set, std::vector<index_t> const& examples) {
    std::vector<index_t> counts(set.classes().size(), 0);
    for (index_t const i : examples) {
        ++counts[as_size(set[i].label)];
    }
    std::vector<float> weights;
    weights.reserve(counts.size());
    for (index_t const count : counts) {
        weights.push_back(count == 0
                              ? 0.0F
                              : static_cast<float>(static_cast<double>(examples.size()) /
                                                   (static_cast<double>(counts.size()) * static_cast<double>(count))));
    }
    return weights;
}

DataSplit split(TrainFlags const& flags, TrainingSet const& set) {
    int const ways =
        (flags.held_out > 0 ? 1 : 0) + (flags.fold.empty() ? 0 : 1) + (flags.validation_files.empty() ? 0 : 1);
    if (ways > 1) { throw Error(ErrorCode::invalid_argument, "give one of --validation-file, --held-out and --fold"); }
    if (!flags.validation_files.empty()) { return split_by_file(set, static_cast<index_t>(flags.input.files.size())); }
    if (flags.held_out > 0) { return split_held_out(set, flags.held_out, flags.seed); }
    if (flags.fold.empty()) { return split_none(set); }
    long long fold = 0;
    long long folds = 0;
    char rest = 0;
    if (std::sscanf(flags.fold.c_str(), "%lld/%lld%c", &fold, &folds, &rest) != 2) {
        throw Error(ErrorCode::invalid_argument, "--fold " + flags.fold + ": not of the form I/K");
    }
    return split_fold(set, fold, folds, 1); // the folds of all seeds are the same
}

/// A model of a part of its files would pass for one of all of them.
void refuse_broken_files(TrainingSet const& set) {
    auto const& found = set.report();
    if (found.broken_files == 0) { return; }
    throw Error(ErrorCode::malformed_input, std::to_string(found.broken_files) + " of " +
                                                std::to_string(set.files().size()) + " files cannot be read whole (" +
                                                found.first_broken +
                                                " is the first): mend them or leave them out; nothing was trained");
}

void report_leakage(LogOptions const& log, TrainingSet const& set, LeakageReport const& leakage) {
    if (!leakage.any()) { return; }
    log_line(log, "held-out records that are also trained on: " + std::to_string(leakage.same_name) + " by name, " +
                      std::to_string(leakage.same_content) + " by content, " +
                      std::to_string(leakage.reverse_complement) + " as the other strand (" +
                      set[leakage.first.front().validation].name + " is the first)");
}

class Files final : public TrainingSource {
public:
    Files(TrainFlags const& flags, PreprocessorConfig const& preprocessor, ModelConfig const& model)
        : set_(all_files(flags), set_options(flags, preprocessor, model)) {
        refuse_broken_files(set_);
        log_repeated_inputs(flags.log, all_files(flags));
        split_ = split(flags, set_);
        thin(flags.validation_examples);
        if (set_.target() == TargetKind::values) { label_scale_ = strandwave::label_scale(labels_of(split_.training)); }
        report(flags);
        auto const& found = set_.report();
        if (set_.size() == 0 && found.failed == 0 && found.unlabelled == 0) {
            throw Error(ErrorCode::invalid_argument, "the files hold no record to train on");
        }
        if (set_.target() == TargetKind::classes && set_.classes().size() < 2) {
            throw Error(ErrorCode::invalid_argument, "a classifier needs records of two classes or more; " +
                                                         std::to_string(set_.classes().size()) + " found" +
                                                         failed_text(found.failed));
        }
        BatchOptions options = flags.batch;
        options.objective = parse_objective(flags.objective);
        options.seed = flags.seed;
        if (label_scale_) { options.label_scale = *label_scale_; }
        if (flags.balance) { options.class_weights = balance(set_, split_.training); }
        training_.emplace(set_, split_.training, options);
        accumulate_ = flags.accumulate;
        if (split_.validation.empty()) { return; }
        options.class_weights.clear();
        options.label_smoothing = 0;
        options.audio = {};
        options.reverse_complement = false;
        options.substitutions = 0;
        options.max_length = options.crop;
        // As much at once as a training batch has, when records are cut; they may be longer otherwise.
        validation_.emplace(set_, split_.validation, options);
    }

    TrainingData data() const override {
        TrainingData data;
        data.training = [this](index_t number, TrainBatch& batch) { training_->make(number, batch); };
        if (validation_) {
            data.validation = [this](index_t first, TrainBatch& batch) {
                return validation_->make_evaluation(first, batch);
            };
        }
        data.describe = [this](TrainBatch const& batch) { return names(batch); };
        return data;
    }

    index_t steps_per_epoch() const override {
        return std::max<index_t>(1, training_->steps_per_epoch() / accumulate_);
    }
    std::uint64_t hash() const override { return set_.hash(); }
    std::vector<std::string> classes() const override { return set_.classes(); }
    std::optional<LabelScale> label_scale() const override { return label_scale_; }
    index_t failed() const override { return set_.report().failed; }

private:
    static std::vector<std::filesystem::path> all_files(TrainFlags const& flags) {
        auto files = flags.input.files;
        files.insert(files.end(), flags.validation_files.begin(), flags.validation_files.end());
        return files;
    }

    TrainingSetOptions set_options(TrainFlags const& flags, PreprocessorConfig const& preprocessor,
                                   ModelConfig const& model) {
        TrainingSetOptions options;
        options.source = source_options(flags.input, preprocessor, model);
        options.max_bytes = max_memory_bytes(flags.input);
        auto const objective = parse_objective(flags.objective);
        if (is_pooled(objective)) {
            options.target = objective == Objective::classification ? TargetKind::classes : TargetKind::values;
            labels_.emplace(flags.labels, all_files(flags), options.source.input);
            options.labels = &*labels_;
        }
        options.failure = [](UnitFailure const& failure) {
            log_error(failure.error.message() + " [" + std::string(error_code_name(failure.error.code())) + "]");
        };
        return options;
    }

    std::vector<float> labels_of(std::vector<index_t> const& examples) const {
        std::vector<float> labels;
        labels.reserve(examples.size());
        for (index_t const i : examples) {
            labels.push_back(set_[i].value);
        }
        return labels;
    }

    /// At most so many held-out examples, evenly out of all.
    void thin(index_t most) {
        auto& examples = split_.validation;
        auto const count = static_cast<index_t>(examples.size());
        if (most == 0 || count <= most) { return; }
        for (index_t i = 0; i < most; ++i) {
            examples[as_size(i)] = examples[as_size(i * count / most)];
        }
        examples.resize(as_size(most));
    }

    void report(TrainFlags const& flags) const {
        std::string line = std::to_string(split_.training.size()) + " examples for training, " +
                           std::to_string(split_.validation.size()) + " held out";
        for (std::size_t i = 0; i < set_.classes().size() && i < as_size(kNamesShown); ++i) {
            line += (i == 0 ? "; classes " : ", ") + set_.classes()[i];
        }
        if (label_scale_) {
            line += "; labels with mean " + std::to_string(label_scale_->mean) + ", standard deviation " +
                    std::to_string(label_scale_->deviation);
        }
        log_line(flags.log, line);
        auto const& found = set_.report();
        if (found.unlabelled > 0) {
            log_line(flags.log, std::to_string(found.unlabelled) + " records left out: no label is known for them (" +
                                    found.first_unlabelled + " is the first)");
        }
        report_leakage(flags.log, set_, find_leakage(set_, split_));
    }

    std::string names(TrainBatch const& batch) const {
        std::string text;
        for (index_t i = 0; i < batch.records() && i < kNamesShown; ++i) {
            text += (i == 0 ? "" : ", ") + set_[batch.examples[as_size(i)]].name;
        }
        return text + (batch.records() > kNamesShown ? ", ..." : "");
    }

    std::optional<LabelSource> labels_; // in front of set_, which is made with it
    TrainingSet set_;
    DataSplit split_;
    std::optional<LabelScale> label_scale_; ///< of numbers
    std::optional<BatchSampler> training_, validation_;
    index_t accumulate_ = 1;
};

SyntheticBatches synthetic_batches(TrainFlags const& flags, ModelConfig const& model) {
    auto const task = parse_synthetic_task(flags.synthetic);
    if (model.vocab_size < task.vocab) {
        throw Error(ErrorCode::invalid_argument, "the task has " + std::to_string(task.vocab) + " tokens, the model " +
                                                     std::to_string(model.vocab_size));
    }
    if (flags.seed == kEvaluationSeries) {
        throw Error(ErrorCode::invalid_argument, "--seed " + std::to_string(flags.seed) +
                                                     " would train on the examples of evaluate --synthetic: take "
                                                     "another");
    }
    SyntheticBatchOptions options;
    options.seed = flags.seed;
    options.batch_size = flags.batch.batch_size;
    if (flags.validation_examples > 0) { options.validation_examples = flags.validation_examples; }
    return {task, flags.validation_synthetic.empty() ? task : parse_synthetic_task(flags.validation_synthetic),
            options};
}

class Synthetic final : public TrainingSource {
public:
    Synthetic(TrainFlags const& flags, ModelConfig const& model) : batches_(synthetic_batches(flags, model)) {}

    TrainingData data() const override {
        TrainingData data;
        data.training = [this](index_t number, TrainBatch& batch) { batches_.make(number, batch); };
        data.validation = [this](index_t first, TrainBatch& batch) { return batches_.make_validation(first, batch); };
        data.describe = [](TrainBatch const& batch) {
            return batch.examples.empty() ? std::string() : "examples from " + std::to_string(batch.examples.front());
        };
        return data;
    }
    index_t steps_per_epoch() const override { return 1; }

private:
    SyntheticBatches batches_;
};

} // namespace

std::unique_ptr<TrainingSource> open_files(TrainFlags const& flags, PreprocessorConfig const& preprocessor,
                                           ModelConfig const& model) {
    if (flags.input.files.empty()) { throw Error(ErrorCode::invalid_argument, "give INPUT files, or --synthetic"); }
    return std::make_unique<Files>(flags, preprocessor, model);
}

std::unique_ptr<TrainingSource> open_synthetic(TrainFlags const& flags, ModelConfig const& model) {
    return std::make_unique<Synthetic>(flags, model);
}

} // namespace strandwave
