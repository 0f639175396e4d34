#pragma once

#include "lib/train/train_batch.h"
#include "lib/train/train_model.h"

#include <vector>

namespace strandwave {

/// What a batch has of each record between the same two multiples of a length: records that are over are left out.
struct BatchPiece {
    TrainBatch batch;               ///< without pooled targets, which no piece has by itself
    std::vector<RecordSlots> slots; ///< that carry the state from the piece before and to the next one
};

/// A batch along time, for TrainModel.
struct CutBatch {
    std::vector<BatchPiece> pieces;
    index_t slots = 0; ///< every border within a record has one of its own, 0, 1, ...
    /// Of pooled objectives, for TrainModel::judge: records whose positions are their pieces, with their targets. Piece
    /// k of a record has position k of it as `RecordSlots::part`.
    TrainBatch records;
};

/// Cuts the records of a batch, tokens or frames, at multiples of `piece`. Throws invalid_argument (piece < 1).
CutBatch cut_batch(TrainBatch const& batch, index_t piece);

} // namespace strandwave
