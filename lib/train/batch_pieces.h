#pragma once

#include "lib/train/train_batch.h"
#include "lib/train/train_model.h"

#include <vector>

namespace strandwave {

/// What a batch has of each record between the same two multiples of `piece`: records that are over are left out.
struct BatchPiece {
    TrainBatch batch;
    std::vector<RecordSlots> slots; ///< that carry the state from the piece before and to the next one
};

/// Cuts a batch of tokens along time, for TrainModel. Every border within a record has a slot of its own, 0, 1, ...: no
/// more than positions / piece. Throws unsupported for pooled targets, whose gradient no piece knows by itself;
/// invalid_argument (piece < 1).
std::vector<BatchPiece> cut_batch(TrainBatch const& batch, index_t piece);

} // namespace strandwave
