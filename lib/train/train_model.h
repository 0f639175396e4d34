#pragma once

#include "lib/train/train_batch.h"
#include "lib/train/train_head.h"
#include "lib/train/train_layer.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace strandwave {

struct TrainModelOptions {
    Objective objective = Objective::classification;
    Pooling pooling = Pooling::mean; ///< of classification and regression
    float dropout = 0;               ///< in front of each block and of the head
    bool recompute = false;          ///< a layer's activations are made again for its backward pass, not kept
    index_t first_layer = 0;         ///< layers below it (Parameter::layer) are not trained
    index_t slots = 0;               ///< of carried state; 0: every record is whole in its batch
};

/// Where a record of a batch takes its carried state from and leaves it; negative: zeros, not wanted.
struct RecordSlots {
    std::int32_t initial = -1;
    std::int32_t final = -1;
};

/// A model in training on one device: forward pass, loss, backward pass. Parameters and gradients are the caller's.
/// RC-equivariant models read both strands of each record, as two records side by side (docs/ARCHITECTURE.md).
///
/// Sequences longer than memory: give the pieces of a record slots c -> c + 1. Run all pieces forward, then from the
/// last to the first forward again and backward: the gradient of the state behind a piece waits in its slot. That is
/// exact back-propagation in the memory of one piece. Running each piece forward and backward once, with the gradients
/// of the slots cleared in between, is truncated back-propagation through time.
class TrainModel {
public:
    TrainModel(DeviceParameters const& parameters, TrainOps& ops, TrainModelOptions options);
    ~TrainModel();

    /// Brings a batch to the device; `scale` multiplies the gradients (1 / rows that count in the whole step), `seed`
    /// is the dropout's. Throws shape_mismatch, invalid_argument (a token outside the vocabulary), too_large.
    void put(TrainBatch const& batch, float scale, std::uint64_t seed, std::span<RecordSlots const> slots = {});

    void refresh();          ///< what is made of the parameters once a step; clears what waits in finish_gradients
    void forward_backward(); ///< of the batch that was put last; adds to the gradients
    void evaluate();         ///< forward and loss only, without dropout
    void finish_gradients(); ///< hands on what waits outside the vector of gradients

    LossSums sums(); ///< of the last pass over a batch; waits
    LossSums const* device_sums() const noexcept { return head_.sums(); }
    std::vector<float> outputs();   ///< of the last pass: logits `[records, classes]` of a pooled objective; waits
    index_t bytes() const noexcept; ///< of device memory for activations and scratch

    void clear_state_gradients(); ///< of all slots
    index_t positions() const noexcept { return positions_; }

private:
    struct Activations; ///< everything whose size depends on the batch
    void grow(index_t rows, index_t records);
    void place_records(TrainBatch const& batch, std::span<RecordSlots const> slots);
    void upload_inputs(TrainBatch const& batch);
    void embed();
    void embed_backward();
    void forward(bool training);
    void backward();
    LayerRun layer_run(index_t layer, bool training) const;
    LayerActivations const& kept(index_t layer) const;

    DeviceParameters const& p_;
    ModelConfig const& config_;
    TrainOps& ops_;
    TrainModelOptions options_;
    MatrixStore fixed_; ///< memory that does not depend on the batch
    std::vector<TrainLayer> layers_;
    std::unique_ptr<Activations> a_;
    TrainHead head_;
    index_t row_capacity_ = 0;
    index_t record_capacity_ = 0;
    index_t rows_ = 0;
    index_t positions_ = 0;
    index_t records_ = 0;
    std::uint64_t key_ = 0; ///< of the batch's shape
    std::vector<PackedSegment> segments_;
    std::vector<std::int32_t> host_tokens_;
    std::uint64_t* seed_ = nullptr; ///< device memory
    float* states_[4] = {};         ///< conv, scan and their gradients, [n_layer][slots][..]
};

} // namespace strandwave
