#pragma once

#include "lib/train/objective.h"
#include "lib/train/train_batch.h"
#include "lib/train/train_memory.h"

#include <optional>
#include <span>
#include <vector>

namespace strandwave {

/// Where a piece of a record takes its carried state from and leaves it, and its pooled vector; negative: zeros, or not
/// wanted.
struct RecordSlots {
    std::int32_t initial = -1;
    std::int32_t final = -1;
    std::int32_t part = -1; ///< pooled objectives: among the pooled vectors of all pieces of the batch
    float share = 1;        ///< its positions / the mean of the record's pieces
};

/// The end of a model in training: final norm, pooling or language-model head, loss, and their gradients.
///
/// A record in pieces is pooled twice: each piece by itself, then the vectors of the pieces, its parts, in the same
/// way. The maximum of maxima is the maximum, with the same row for its gradient, the first of the firsts the first,
/// and the mean of means weighted by `share` the mean. Parts and their gradients are kept from piece to piece.
class TrainHead {
public:
    TrainHead(DeviceParameters const& parameters, TrainOps& ops, Objective objective, Pooling pooling, float dropout);

    /// New memory for so many rows and records.
    void reserve(index_t rows, index_t records);

    /// Brings the targets of a batch to the device. `segments`: the records as they lie in rows, strand by strand.
    void put(TrainBatch const& batch, std::span<PackedSegment const> segments, float scale);

    /// Logits and loss of the residual stream `[rows, d_model]`. `seed`: of the dropout, null without.
    /// `gradient`: also dL/dlogits.
    void forward(Matrix residual, std::uint64_t const* seed, bool gradient);
    /// d_residual `[rows, d_model]` fp32 = gradient of the residual stream; adds to the gradients of the parameters.
    void backward(Matrix residual, std::uint64_t const* seed, Matrix d_residual);

    // Pooled objectives of records in pieces. What copies parts is not to be replayed: it depends on the piece.
    void reserve_parts(index_t parts); ///< new memory
    void put_piece(std::span<PackedSegment const> segments, std::span<RecordSlots const> slots);
    void pool_piece(Matrix residual);
    void keep_parts(); ///< copies what was pooled
    /// Records whose positions are their parts, and their targets.
    void put_records(TrainBatch const& records, float scale);
    void judge(bool gradient);  ///< logits and loss; `gradient`: of the parameters and the parts
    void take_part_gradients(); ///< copies those of the piece
    void backward_piece(Matrix residual, Matrix d_residual);

    LossSums const* sums() const noexcept { return sums_; } ///< device memory
    Matrix outputs() const noexcept { return logits_; }
    index_t bytes() const noexcept {
        return (memory_ ? memory_->bytes_used() : 0) + (carried_ ? carried_->bytes_used() : 0);
    }

private:
    void put_pools(std::span<PackedSegment const> segments, index_t records);
    void put_pooled_targets(TrainBatch const& batch, float scale);
    void put_token_targets(TrainBatch const& batch, std::span<PackedSegment const> segments);
    Matrix weight() const;
    Matrix normed(Matrix residual);
    void judge_pooled(std::uint64_t const* seed, bool gradient);
    void judge_pooled_backward(std::uint64_t const* seed);

    DeviceParameters const& p_;
    ModelConfig const& config_;
    TrainOps& ops_;
    Objective objective_;
    Pooling pooling_;
    float dropout_;
    NormCall norm_;
    MatrixStore fixed_;
    std::optional<MatrixStore> memory_, carried_;
    Matrix hidden_, dhidden_; ///< [row capacity, d_model]
    Matrix pooled_, dpooled_; ///< [record capacity, d_model] f32
    Matrix logit_memory_, dlogit_memory_, target_memory_, ones_;
    Matrix part_memory_, dpart_memory_; ///< [part capacity, d_model] f32
    Matrix logits_, dlogits_, targets_; ///< of the batch
    std::vector<index_t> parts_;        ///< of the piece's records
    std::int32_t* token_targets_ = nullptr;
    std::int32_t* mates_ = nullptr;
    std::int32_t* complement_ = nullptr;
    float* scale_ = nullptr;
    LossSums* sums_ = nullptr;
    index_t rows_ = 0;
    index_t records_ = 0;
    index_t part_count_ = 0; ///< of the batch
};

} // namespace strandwave
