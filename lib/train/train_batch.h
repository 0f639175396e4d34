#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <vector>

namespace strandwave {

/// What one step of training, or of evaluation, reads: records packed one behind the other, as everywhere.
/// Positions = sum of `lengths`. Exactly one of `tokens` and `frames` is filled, and of the targets those of the
/// objective.
struct TrainBatch {
    std::vector<std::int32_t> tokens;        ///< [positions], or
    std::vector<float> frames;               ///< [positions, frame_length]
    std::vector<index_t> lengths;            ///< [records], positions of each, >= 1
    std::vector<std::int32_t> token_targets; ///< [positions], -1 where ignored; empty for pooled objectives
    std::vector<float> pooled_targets;       ///< [records, classes or values]; empty for objectives of tokens
    std::vector<index_t> examples;           ///< [records], which example of the set each is, for messages

    index_t records() const noexcept { return static_cast<index_t>(lengths.size()); }
    index_t positions() const noexcept {
        index_t sum = 0;
        for (index_t const length : lengths) {
            sum += length;
        }
        return sum;
    }
    void clear() noexcept {
        tokens.clear();
        frames.clear();
        lengths.clear();
        token_targets.clear();
        pooled_targets.clear();
        examples.clear();
    }
};

} // namespace strandwave
