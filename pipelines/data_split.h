#pragma once

#include "pipelines/training_set.h"

#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

/// Indices of examples, each list ascending.
struct DataSplit {
    std::vector<index_t> training, validation;
};

/// All examples are for training, none is held out.
DataSplit split_none(TrainingSet const& set);

/// Splits whole records: windows of a record, and channels of a recording, stay together. Each class (all records as
/// one, where there are none) is shuffled by `seed` and gives round(fraction * records), but at least 1 and at most
/// all but 1; a class of one record stays in training. The same set and seed give the same split on every platform.
/// Throws invalid_argument: fraction not in (0, 1), or nothing that can be held out.
DataSplit split_held_out(TrainingSet const& set, double fraction, std::uint64_t seed);

/// Fold `fold` (from 0) of `folds` is held out; the folds of one seed are a partition, and no two differ by more than
/// one record of any class. Throws invalid_argument: not 0 <= fold < folds, fewer than 2 folds, or an empty side.
DataSplit split_fold(TrainingSet const& set, index_t fold, index_t folds, std::uint64_t seed);

/// Examples of files from `first_validation_file` on (index into TrainingSet::files) are held out. Throws
/// invalid_argument where a side is empty.
DataSplit split_by_file(TrainingSet const& set, index_t first_validation_file);

enum class LeakKind : std::uint8_t { name, content, reverse_complement };

struct Leak {
    LeakKind kind = LeakKind::name;
    index_t validation = 0; ///< example of the validation set
    index_t training = 0;   ///< the first example of the training set that it equals
};

/// Validation examples that the training examples give away. An example is counted once for each kind; one that is its
/// own reverse complement counts as `content`.
struct LeakageReport {
    index_t same_name = 0;          ///< records of one name, whatever they hold
    index_t same_content = 0;       ///< the same tokens or samples, all of them
    index_t reverse_complement = 0; ///< DNA that equals the other strand of a training example, and none as it is
    std::vector<Leak> first;        ///< kLeaksShown of each kind, in order of the validation examples

    bool any() const noexcept { return same_name + same_content + reverse_complement > 0; }
};
inline constexpr index_t kLeaksShown = 5;

/// Compares what two lists of examples hold, by hash and then by content. The sets may be one.
LeakageReport find_leakage(TrainingSet const& training_set, std::span<index_t const> training,
                           TrainingSet const& validation_set, std::span<index_t const> validation);
inline LeakageReport find_leakage(TrainingSet const& set, DataSplit const& split) {
    return find_leakage(set, split.training, set, split.validation);
}

} // namespace strandwave
