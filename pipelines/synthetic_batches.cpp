#include "pipelines/synthetic_batches.h"

#include "lib/core/error.h"

#include <algorithm>
#include <utility>

namespace strandwave {
namespace {

void make_examples(SyntheticTask const& task, std::uint64_t seed, index_t first, index_t count, TrainBatch& batch) {
    batch.clear();
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> targets;
    for (index_t i = first; i < first + count; ++i) {
        make_example(task, seed, static_cast<std::uint64_t>(i), tokens, targets);
        batch.tokens.insert(batch.tokens.end(), tokens.begin(), tokens.end());
        batch.token_targets.insert(batch.token_targets.end(), targets.begin(), targets.end());
        batch.lengths.push_back(static_cast<index_t>(tokens.size()));
        batch.examples.push_back(i);
    }
}

std::string described(SyntheticTask const& task) { return task.name + " with vocab=" + std::to_string(task.vocab); }

} // namespace

SyntheticBatches::SyntheticBatches(SyntheticTask training, SyntheticTask validation, SyntheticBatchOptions options)
    : training_(std::move(training)), validation_(std::move(validation)), options_(options) {
    if (training_.name != validation_.name || training_.vocab != validation_.vocab) {
        throw Error(ErrorCode::invalid_argument, "the task of the validation is " + described(validation_) +
                                                     ", that of training " + described(training_) +
                                                     ": give the validation the same task and vocab, whose tokens mean "
                                                     "the same; length and the other keys may differ");
    }
    index_t const positions = options_.batch_size * example_length(training_);
    validation_batch_ = std::clamp<index_t>(positions / example_length(validation_), 1, options_.batch_size);
}

void SyntheticBatches::make(index_t number, TrainBatch& batch) const {
    make_examples(training_, options_.seed, number * options_.batch_size, options_.batch_size, batch);
}

index_t SyntheticBatches::make_validation(index_t first, TrainBatch& batch) const {
    index_t const count = std::clamp<index_t>(options_.validation_examples - first, 0, validation_batch_);
    make_examples(validation_, validation_series(options_.seed), first, count, batch);
    return count;
}

} // namespace strandwave
