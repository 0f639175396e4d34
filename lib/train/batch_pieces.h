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

/// A batch, of tokens or frames, cut along time at multiples of a length, for TrainModel. Pieces are copied out when
/// they are asked for; the batch has to stay.
class CutBatch {
public:
    /// Throws invalid_argument (piece < 1).
    CutBatch(TrainBatch const& batch, index_t piece);

    index_t pieces() const noexcept { return pieces_; } ///< of the longest record
    BatchPiece piece(index_t number) const;
    /// Every border within a record has a slot of its own, 0, 1, ...
    index_t slots() const noexcept { return records_.positions() - records_.records(); }
    /// Of pooled objectives, for TrainModel::judge: records whose positions are their pieces, with their targets. Piece
    /// k of a record has position k of it as `RecordSlots::part`.
    TrainBatch const& records() const noexcept { return records_; }

private:
    TrainBatch const& batch_;
    index_t piece_;
    index_t pieces_ = 0;
    TrainBatch records_;
};

/// Whole records of a batch in `parts` runs of nearly equal numbers of positions, in order; some may be empty.
std::vector<TrainBatch> split_batch(TrainBatch const& batch, index_t parts, index_t frame_length);

} // namespace strandwave
