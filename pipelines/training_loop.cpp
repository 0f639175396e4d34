#include "pipelines/training_loop.h"

#include "lib/core/error.h"
#include "pipelines/classification_metrics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>

namespace strandwave {
namespace {

/// The class that a row of targets, perhaps smoothed or mixed, gives most to.
index_t largest(float const* row, index_t count) { return std::max_element(row, row + count) - row; }

void count_answers(TrainBatch const& batch, std::vector<float> const& logits, Confusion& confusion) {
    for (index_t i = 0; i < batch.records(); ++i) {
        index_t const at = i * confusion.classes;
        ++confusion(largest(batch.pooled_targets.data() + at, confusion.classes),
                    largest(logits.data() + at, confusion.classes));
    }
}

class Run {
    using StepBatches = std::vector<std::vector<TrainBatch>>; ///< of consecutive steps, each with `accumulate`

public:
    Run(Trainer& trainer, Threads const& threads, TrainingData const& data, TrainingLoopOptions const& options,
        TrainingCheckpoint& checkpoint, TrainingListener& listener)
        : trainer_(trainer), threads_(threads), data_(data), options_(options), checkpoint_(checkpoint),
          listener_(listener) {}

    /// Batches are made beside the steps, those of several steps at a time by several threads.
    bool operator()() {
        std::array<StepBatches, kAhead> places;
        places.fill(StepBatches(static_cast<std::size_t>(std::min(threads_.count(), kTogether))));
        index_t next = trainer_.steps_done();
        threads_.pipeline(
            kAhead,
            [&](int place) {
                if (ended_ || next >= options_.steps) { return false; }
                next += make_several(next, places[static_cast<std::size_t>(place)]);
                return true;
            },
            [&](int place) {
                for (auto const& batches : places[static_cast<std::size_t>(place)]) {
                    if (!ended_) { step(batches); }
                }
            },
            [](int) {});
        return !stopped_;
    }

private:
    bool due(index_t every) const { return every > 0 && trainer_.steps_done() % every == 0; }

    /// From step `first` on; returns of how many steps.
    index_t make_several(index_t first, StepBatches& steps) const {
        index_t const count = std::min(static_cast<index_t>(steps.size()), options_.steps - first);
        steps.resize(static_cast<std::size_t>(count));
        threads_.parallel_for(count, [&](index_t i) { make(first + i, steps[static_cast<std::size_t>(i)]); });
        return count;
    }

    void make(index_t step, std::vector<TrainBatch>& batches) const {
        batches.resize(static_cast<std::size_t>(options_.accumulate));
        for (index_t i = 0; i < options_.accumulate; ++i) {
            data_.training(step * options_.accumulate + i, batches[static_cast<std::size_t>(i)]);
        }
    }

    void step(std::vector<TrainBatch> const& batches) {
        trainer_.step(batches);
        for (auto const& batch : batches) {
            positions_ += batch.positions();
        }
        bool const last = trainer_.steps_done() == options_.steps;
        bool const stop = !last && listener_.stop();
        if (due(options_.report_every) || last || stop) { report(); }
        bool const reached = (due(options_.validate_every) || last) && data_.validation && validate_now();
        if (due(options_.checkpoint_every) || last || stop || reached) { write_checkpoint(); }
        stopped_ = stop && !reached;
        ended_ = stop || reached;
    }

    void report() {
        if (positions_ == 0) { return; } // all is told
        TrainingProgress progress;
        for (auto const& step : trainer_.reports()) {
            if (!std::isfinite(step.sums.loss) || !std::isfinite(step.gradient_norm)) { diverged(step); }
            progress.sums += step.sums;
            progress.gradient_norm = step.gradient_norm;
            progress.learning_rate = step.learning_rate;
        }
        progress.step = trainer_.steps_done();
        progress.positions = std::exchange(positions_, 0);
        progress.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
        listener_.progress(progress);
    }

    [[noreturn]] void diverged(StepReport const& step) {
        std::vector<TrainBatch> batches(static_cast<std::size_t>(options_.accumulate));
        make(step.step - 1, batches);
        std::string records;
        for (auto const& batch : batches) {
            records += (records.empty() ? "" : ", ") + data_.describe(batch);
        }
        throw Error(ErrorCode::invalid_argument,
                    "step " + std::to_string(step.step) + ": loss " + std::to_string(step.sums.loss) +
                        ", norm of the gradient " + std::to_string(step.gradient_norm) +
                        ": training came apart; a lower --learning-rate may help. The last checkpoint is kept. "
                        "Records of the step: " +
                        records);
    }

    /// Whether the run has reached what it was asked for.
    bool validate_now() {
        report(); // a run that came apart says so before it is judged
        Validation validation = validate(trainer_, data_, options_.score);
        validation.best = checkpoint_.best_step == 0 || validation.score > checkpoint_.best_score;
        if (validation.best) {
            checkpoint_.best_score = validation.score;
            checkpoint_.best_step = validation.step;
        }
        listener_.validated(validation, trainer_);
        return options_.target_score > 0 && validation.score >= options_.target_score;
    }

    void write_checkpoint() {
        report(); // what came apart is not kept
        checkpoint_.state = trainer_.state();
        listener_.checkpoint(checkpoint_);
    }

    static constexpr int kAhead = 3;    ///< places for batches: some are made while others are trained on
    static constexpr int kTogether = 4; ///< steps of a place

    Trainer& trainer_;
    Threads const& threads_;
    TrainingData const& data_;
    TrainingLoopOptions const& options_;
    TrainingCheckpoint& checkpoint_;
    TrainingListener& listener_;
    std::atomic<bool> ended_{false}; ///< read where batches are made
    bool stopped_ = false;
    index_t positions_ = 0;
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace

bool run_training(Trainer& trainer, Threads const& threads, TrainingData const& data,
                  TrainingLoopOptions const& options, TrainingCheckpoint& checkpoint, TrainingListener& listener) {
    return Run(trainer, threads, data, options, checkpoint, listener)();
}

Validation validate(Trainer& trainer, TrainingData const& data, Score score) {
    Validation validation;
    validation.step = trainer.steps_done();
    auto& sums = validation.sums;
    std::optional<Confusion> confusion;
    TrainBatch batch;
    index_t taken = 0;
    for (index_t first = 0; (taken = data.validation(first, batch)) > 0; first += taken) {
        std::vector<float> logits;
        sums += trainer.evaluate(batch, score == Score::matthews ? &logits : nullptr);
        if (score != Score::matthews) { continue; }
        if (!confusion) { confusion.emplace(static_cast<index_t>(logits.size()) / batch.records()); }
        count_answers(batch, logits, *confusion);
    }
    double const rows = std::max(1.0, sums.count);
    if (!std::isfinite(sums.loss)) {
        validation.score = -std::numeric_limits<double>::infinity();
    } else if (confusion) {
        validation.score = matthews_correlation(*confusion);
    } else {
        validation.score = score == Score::accuracy ? sums.correct / rows : -sums.loss / rows;
    }
    return validation;
}

} // namespace strandwave
