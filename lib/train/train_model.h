#pragma once

#include "lib/train/train_batch.h"
#include "lib/train/train_head.h"
#include "lib/train/train_layer.h"

#include <initializer_list>
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
};

/// A model in training on one device: forward pass, loss, backward pass. Parameters and gradients are the caller's.
/// RC-equivariant models read both strands of each record, as two records side by side (docs/ARCHITECTURE.md).
///
/// Sequences longer than memory: give the pieces of a record slots c -> c + 1. Run all pieces forward, then from the
/// last to the first forward again and backward: the gradient of the state behind a piece waits in its slot. That is
/// exact back-propagation in the memory of one piece. Running each piece forward and backward once, with the gradients
/// of the slots cleared in between, is truncated back-propagation through time. Pooled objectives: `forward_piece` of
/// all pieces, `judge` of the records, then `backward_piece` from the last piece to the first. CutBatch makes the
/// pieces.
class TrainModel {
public:
    TrainModel(DeviceParameters const& parameters, TrainOps& ops, TrainModelOptions options);
    ~TrainModel();

    /// Room for so many slots of carried state and, of pooled objectives, parts: before the first piece of a batch.
    /// When there are more than before, the old ones are lost and the new ones zero. Throws unsupported (a
    /// bidirectional model, dropout).
    void carry(index_t slots, index_t parts);

    /// Brings a batch to the device; `scale` multiplies the gradients (1 / rows that count in the whole step), `seed`
    /// is the dropout's. `slots`: of pieces, one a record. Throws shape_mismatch, invalid_argument (a token outside the
    /// vocabulary, a slot that is not carried), too_large.
    void put(TrainBatch const& batch, float scale, std::uint64_t seed, std::span<RecordSlots const> slots = {});

    void refresh();          ///< what is made of the parameters once a step; clears what waits in finish_gradients
    void forward_backward(); ///< of the batch that was put last; adds to the gradients
    void evaluate();         ///< forward and loss only, without dropout
    void finish_gradients(); ///< hands on what waits outside the vector of gradients

    // Pooled objectives of records in pieces, of the piece that was put last.
    void forward_piece();
    /// Loss of the records whose pieces have passed, which are positions of `records`; `gradient`: also gradients of
    /// the head, and of the pieces for `backward_piece`.
    void judge(TrainBatch const& records, float scale, bool gradient);
    void backward_piece(bool forward_again); ///< without: of the piece that passed last

    LossSums sums(); ///< of the last pass over a batch; waits
    LossSums const* device_sums() const noexcept { return head_.sums(); }
    std::vector<float> outputs();   ///< of the last pass: logits `[records, classes]` of a pooled objective; waits
    index_t bytes() const noexcept; ///< of device memory for activations and scratch

    void clear_state_gradients(); ///< of all slots
    index_t positions() const noexcept { return positions_; }

private:
    struct Activations; ///< everything whose size depends on the batch
    void grow(index_t rows, index_t records);
    TrainCapacity capacity() const;
    index_t state_size(int kind) const;
    void clear_states(std::initializer_list<int> kinds);
    void check_slots(std::span<RecordSlots const> slots) const;
    void place_records(TrainBatch const& batch, std::span<RecordSlots const> slots);
    void upload_inputs(TrainBatch const& batch);
    void embed();
    void embed_backward();
    void forward(bool training);
    void forward_layers(bool training);
    void backward();
    void backward_layers();
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
    index_t slot_capacity_ = 0;
    index_t part_capacity_ = 0;
    index_t rows_ = 0;
    index_t positions_ = 0;
    index_t records_ = 0;
    std::uint64_t key_ = 0; ///< of the batch's shape
    std::vector<PackedSegment> segments_;
    std::vector<std::int32_t> host_tokens_;
    std::uint64_t* seed_ = nullptr; ///< device memory
    std::optional<MatrixStore> carried_;
    float* states_[4] = {}; ///< conv, scan and their gradients, [n_layer][slots][..]
};

} // namespace strandwave
