#pragma once

#include "lib/train/objective.h"
#include "lib/train/train_batch.h"
#include "lib/train/train_memory.h"

#include <optional>
#include <span>
#include <vector>

namespace strandwave {

/// The end of a model in training: final norm, pooling or language-model head, loss, and their gradients.
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

    LossSums const* sums() const noexcept { return sums_; } ///< device memory
    Matrix outputs() const noexcept { return logits_; }
    index_t bytes() const noexcept { return memory_ ? memory_->bytes_used() : 0; }

private:
    struct Strands; ///< how the rows of two strands belong together
    void put_pools(std::span<PackedSegment const> segments, index_t records);
    void put_token_targets(TrainBatch const& batch, std::span<PackedSegment const> segments);
    Matrix weight() const;

    DeviceParameters const& p_;
    ModelConfig const& config_;
    TrainOps& ops_;
    Objective objective_;
    Pooling pooling_;
    float dropout_;
    NormCall norm_;
    MatrixStore fixed_;
    std::optional<MatrixStore> memory_;
    Matrix hidden_, dhidden_; ///< [row capacity, d_model]
    Matrix pooled_, dpooled_; ///< [record capacity, d_model] f32
    Matrix logit_memory_, dlogit_memory_, target_memory_, ones_;
    Matrix logits_, dlogits_, targets_; ///< of the batch
    std::int32_t* token_targets_ = nullptr;
    std::int32_t* mates_ = nullptr;
    std::int32_t* complement_ = nullptr;
    float* scale_ = nullptr;
    LossSums* sums_ = nullptr;
    index_t rows_ = 0;
    index_t records_ = 0;
};

} // namespace strandwave
