#pragma once

#include "lib/core/device.h"
#include "lib/core/threads.h"
#include "lib/train/gradient_exchange.h"
#include "lib/train/schedule.h"
#include "lib/train/train_model.h"

#include <memory>
#include <span>
#include <vector>

namespace strandwave {

class CutBatch;

struct TrainerOptions {
    TrainModelOptions model;
    OptimizerOptions optimizer;
    index_t steps = 0; ///< of the whole training, for the schedule
    /// > 0: records are run in pieces of so many positions with carried state, so that memory does not grow with their
    /// length. Gradients are exact, every piece but the last running forward twice. Causal models, without dropout.
    index_t piece = 0;
    /// With `piece`: gradients end at the pieces' borders. Not of pooled objectives, whose pieces all have to pass
    /// before any has a gradient: nothing would be saved.
    bool truncate = false;
    std::uint64_t seed = 1;
    Device device;
    std::shared_ptr<GradientExchange> exchange; ///< its devices train together instead of `device`; null: one device
    DType dtype = DType::f32;                   ///< of matrix products and activations; bf16 on a GPU only
};

/// What a step found.
struct StepReport {
    index_t step = 0; ///< 1, 2, ...
    LossSums sums;
    double gradient_norm = 0; ///< before clipping; not finite: the step was left out
    double learning_rate = 0;
};

/// Parameters with their AdamW moments and perhaps their average, as host vectors `[ModelParameters::size]`: all that a
/// training run carries from step to step, beside its number.
struct TrainerState {
    index_t step = 0; ///< steps done
    std::vector<float> values, moment1, moment2;
    std::vector<float> average; ///< empty: none

    std::vector<float> const& learned() const noexcept { return average.empty() ? values : average; } ///< the model's
};

/// Trains a model step by step. On a GPU steps are queued, and reports come when they are asked for. On the processor a
/// batch is cut into kShards parts of whole records, which run beside each other; their gradients are added in order,
/// so that the number of threads does not matter to the bit. With an exchange every device has a replica of the model
/// and takes a part of each batch, whole records again; gradients are added up before each makes the same step, with
/// the same bits. What is minimised is the loss of the whole batch, whatever the parts count: the steps are those of
/// one device but for rounding, and for dropout, which draws other numbers. The same state, batches and options give
/// the same bits, on one device and build.
class Trainer {
public:
    static constexpr index_t kShards = 8;

    /// An average that `optimizer` asks for and `state` lacks begins with the parameters. Throws device, unsupported,
    /// shape_mismatch.
    Trainer(ModelParameters const& parameters, TrainerState const& state, Threads const& threads,
            TrainerOptions const& options);
    ~Trainer();

    /// One step on the gradients of all `batches` together (gradient accumulation).
    void step(std::span<TrainBatch const> batches);

    /// Reports of the steps since the last call, in order; waits for them.
    /// Throws device when the replicas' gradients are not the same any more.
    std::vector<StepReport> reports();

    /// Loss of a batch without training, and the logits of its records `[records, outputs]` (pooled objectives): of the
    /// averaged parameters where there are any.
    LossSums evaluate(TrainBatch const& batch, std::vector<float>* outputs = nullptr);

    TrainerState state(index_t replica = 0); ///< the same of all replicas
    index_t steps_done() const noexcept { return step_; }
    index_t bytes() const noexcept; ///< of memory for parameters, gradients, activations, on all devices together

private:
    struct Shard;
    void run_shard(Shard& shard, std::span<TrainBatch const> batches, float scale);
    void run_batch(Shard& shard, TrainBatch const& batch, float scale, std::uint64_t seed);
    void run_pieces(Shard& shard, CutBatch const& cut, float scale);
    void run_pooled_pieces(Shard& shard, CutBatch const& cut, float scale);
    void swap_average();
    LossSums evaluate_part(Shard& shard, TrainBatch const& batch, std::vector<float>* outputs);
    LossSums evaluate_pieces(Shard& shard, CutBatch const& cut, std::vector<float>* outputs);
    void add_shards();
    void update();
    void update(Shard& shard, AdamWStep const& step);
    double pop_norm(index_t step);

    ModelParameters const& parameters_;
    Threads const& threads_;
    TrainerOptions options_;
    std::vector<std::unique_ptr<Shard>> shards_;
    index_t replicas_ = 1; ///< shards with parameters of their own
    index_t step_ = 0;

    /// A step whose norm and sums wait on the devices, so many of each shard.
    struct Waiting {
        StepReport report;
        std::vector<index_t> sums;
    };
    std::vector<Waiting> waiting_;
};

} // namespace strandwave
