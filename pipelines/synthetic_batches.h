#pragma once

#include "lib/train/synthetic_tasks.h"
#include "lib/train/train_batch.h"

namespace strandwave {

struct SyntheticBatchOptions {
    std::uint64_t seed = 1;
    index_t batch_size = 32;          ///< examples
    index_t validation_examples = 64; ///< of every validation, always the same
};

/// Batches of examples that are made by rule. The validation's task may be another one than that of training, longer
/// above all, so that a run is judged by how what it learned carries. Its examples are of a series of their own. All is
/// const, a function of the arguments alone, and safe to call from several threads.
class SyntheticBatches {
public:
    /// Throws invalid_argument: tasks of another name or vocabulary, whose tokens would mean something else.
    SyntheticBatches(SyntheticTask training, SyntheticTask validation, SyntheticBatchOptions options);

    /// Batch `number` of training, from 0. `batch` is cleared and its memory reused.
    void make(index_t number, TrainBatch& batch) const;

    /// The next batch of a validation, from example `first` on: batch_size examples, fewer where they would have more
    /// positions together than a batch of training, at least one. Returns how many; 0 at the end.
    index_t make_validation(index_t first, TrainBatch& batch) const;

private:
    SyntheticTask training_, validation_;
    SyntheticBatchOptions options_;
    index_t validation_batch_; ///< examples
};

} // namespace strandwave
