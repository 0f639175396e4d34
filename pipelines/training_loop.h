#pragma once

#include "lib/train/training_checkpoint.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// Where a run's batches come from; both functions are pure, so that a run can go on from any step.
struct TrainingData {
    std::function<void(index_t number, TrainBatch& batch)> training; ///< batch 0, 1, ..; of several threads
    /// Batch of the validation set from example `first` on; returns how many examples it took, 0 at the end. Empty:
    /// nothing is held out.
    std::function<index_t(index_t first, TrainBatch& batch)> validation;
    std::function<std::string(TrainBatch const& batch)> describe; ///< its records, for error messages
};

/// What a validation is judged by; larger is better.
enum class Score : std::uint8_t {
    loss,     ///< minus the mean loss
    accuracy, ///< share of rows (records, or tokens with a target) that are right
    matthews, ///< Matthews' correlation of a classifier (classification_metrics.h)
};

struct TrainingLoopOptions {
    index_t steps = 0;
    index_t accumulate = 1;       ///< batches a step
    index_t report_every = 50;    ///< steps
    index_t validate_every = 0;   ///< steps; 0: at the end only
    index_t checkpoint_every = 0; ///< steps; 0: at the end only
    Score score = Score::loss;
    double target_score = 0; ///< > 0: the run ends at the first validation that reaches it
};

/// Some steps together.
struct TrainingProgress {
    index_t step = 0;
    LossSums sums; ///< of all steps since the last one
    double gradient_norm = 0;
    double learning_rate = 0;
    index_t positions = 0; ///< tokens or frames of those steps
    double seconds = 0;    ///< since the run began, or went on
};

/// The held-out examples, all of them.
struct Validation {
    index_t step = 0;
    LossSums sums;
    double score = 0;
    bool best = false;
};

/// What the caller does while a run goes on.
class TrainingListener {
public:
    virtual ~TrainingListener() = default;
    virtual void progress(TrainingProgress const&) {}
    virtual void validated(Validation const&, Trainer&) {} ///< `best`: the parameters to keep
    virtual void checkpoint(TrainingCheckpoint const&) {}
    virtual bool stop() { return false; } ///< asked behind every step: end with a checkpoint
};

/// Trains from `checkpoint` on to the last step; leaves in it where the run stands. A loss or gradient that is not
/// finite ends it: Error (invalid_argument), naming step and records; the last checkpoint stays as it is.
/// Returns false if the listener stopped it. Batches are made beside the steps, some ahead. To be called from outside
/// the pool (Threads::pipeline); the listener is called from any thread of it, one call at a time.
bool run_training(Trainer& trainer, Threads const& threads, TrainingData const& data,
                  TrainingLoopOptions const& options, TrainingCheckpoint& checkpoint, TrainingListener& listener);

/// Loss and score of the validation set.
Validation validate(Trainer& trainer, TrainingData const& data, Score score);

} // namespace strandwave
