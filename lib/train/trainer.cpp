#include "lib/train/trainer.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/train/batch_pieces.h"
#include "lib/train/device_queue.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace strandwave {
namespace {

index_t counted(TrainBatch const& batch) {
    if (batch.token_targets.empty()) { return batch.records(); }
    return std::count_if(batch.token_targets.begin(), batch.token_targets.end(),
                         [](std::int32_t target) { return target >= 0; });
}

std::uint64_t step_seed(std::uint64_t seed, index_t step, index_t part) {
    Random random(seed ^ (static_cast<std::uint64_t>(step) << 20) ^ static_cast<std::uint64_t>(part));
    return random.bits();
}

} // namespace

/// A part of each batch, with gradients of its own. The first one, or each on a device of its own, has the parameters
/// and steps the optimiser.
struct Trainer::Shard {
    std::unique_ptr<TrainOps> ops;
    MatrixStore memory;
    DeviceParameters parameters;
    std::optional<TrainModel> model;
    index_t number = 0;
    DeviceQueue<LossSums> sums; ///< of every batch or piece
    index_t step_sums = 0;      ///< of them, those of the step under way

    // Of replicas only.
    float* moment1 = nullptr;
    float* moment2 = nullptr;
    float* average = nullptr; ///< null: none
    std::uint8_t* flags = nullptr;
    AdamWStep* step = nullptr;
    double* squared_norm = nullptr;
    std::optional<DeviceQueue<double>> norms; ///< squared, of every step

    explicit Shard(std::unique_ptr<TrainOps> ops_) : ops(std::move(ops_)), memory(*ops), sums(*ops, memory) {}

    void keep_sums() {
        sums.push(model->device_sums());
        ++step_sums;
    }

    template <class T>
    T* put(std::span<T const> values) {
        auto const count = static_cast<index_t>(values.size());
        T* const to = memory.array<T>(count);
        ops->upload(to, values.data(), count * static_cast<index_t>(sizeof(T)));
        return to;
    }

    void make_parameters(ModelParameters const& model_, TrainerState const& state, TrainerOptions const& options) {
        parameters.model = &model_;
        parameters.values = put(std::span(state.values));
        moment1 = put(std::span(state.moment1));
        moment2 = put(std::span(state.moment2));
        if (options.optimizer.average_decay > 0) { average = put(std::span(state.learned())); }
        auto const bytes = parameter_flags(model_, options.model.first_layer);
        flags = put(std::span<std::uint8_t const>(bytes));
        step = memory.array<AdamWStep>(1);
        squared_norm = memory.array<double>(1);
        norms.emplace(*ops, memory);
        parameters.working_type = ops->activation();
        parameters.working = parameters.values;
        if (parameters.working_type == DType::bf16) {
            parameters.working = memory.matrix(DType::bf16, 1, model_.size).data;
            round_parameters();
        }
    }

    /// The working copy out of the parameters.
    void round_parameters() {
        index_t const size = parameters.model->size;
        ops->copy({parameters.values, DType::f32, 1, size}, {parameters.working, parameters.working_type, 1, size});
    }

    /// Parameters and their average change places, by way of the gradients, which every step makes from zero.
    void swap_average() {
        index_t const bytes = parameters.model->size * dtype_bytes(DType::f32);
        ops->copy_bytes(parameters.gradients, parameters.values, bytes);
        ops->copy_bytes(parameters.values, average, bytes);
        ops->copy_bytes(average, parameters.gradients, bytes);
        if (parameters.working != parameters.values) { round_parameters(); }
    }

    void make_gradients(index_t size) { parameters.gradients = memory.array<float>(size); }
    std::vector<float> download(float const* from) {
        std::vector<float> values(static_cast<std::size_t>(parameters.model->size));
        ops->download(values.data(), from, parameters.model->size * dtype_bytes(DType::f32));
        return values;
    }
};

Trainer::Trainer(ModelParameters const& parameters, TrainerState const& state, Threads const& threads,
                 TrainerOptions const& options)
    : parameters_(parameters), threads_(threads), options_(options), step_(state.step) {
    if (options.piece > 0 && options.truncate && is_pooled(options.model.objective)) {
        throw Error(ErrorCode::unsupported, "truncated back-propagation is for objectives of tokens: in pieces, those "
                                            "of whole records have exact gradients at the same cost");
    }
    std::vector<Device> devices(options.device.is_gpu() ? 1 : kShards, options.device);
    if (options.exchange) {
        devices = options.exchange->devices();
        replicas_ = static_cast<index_t>(devices.size());
    }
    for (Device const device : devices) {
        auto shard = std::make_unique<Shard>(make_train_ops(device, options.dtype));
        shard->number = static_cast<index_t>(shards_.size());
        if (shard->number < replicas_) {
            shard->make_parameters(parameters, state, options);
        } else {
            shard->parameters = shards_.front()->parameters;
        }
        shard->make_gradients(parameters.size);
        shard->model.emplace(shard->parameters, *shard->ops, options.model);
        if (options.piece > 0) { shard->model->carry(0, 0); } // throws for what cannot
        shards_.push_back(std::move(shard));
    }
}

Trainer::~Trainer() = default;

index_t Trainer::bytes() const noexcept {
    index_t bytes = 0;
    for (auto const& shard : shards_) {
        bytes += shard->memory.bytes_used() + shard->model->bytes();
    }
    return bytes;
}

void Trainer::step(std::span<TrainBatch const> batches) {
    ++step_;
    index_t count = 0;
    for (auto const& batch : batches) {
        count += counted(batch);
    }
    float const scale = 1.0F / static_cast<float>(std::max<index_t>(1, count));
    if (shards_.size() == 1) {
        run_shard(*shards_.front(), batches, scale);
    } else {
        std::vector<std::vector<TrainBatch>> parts(shards_.size());
        for (auto const& batch : batches) {
            auto split = split_batch(batch, static_cast<index_t>(parts.size()), parameters_.config.frame_length);
            for (std::size_t i = 0; i < split.size(); ++i) {
                parts[i].push_back(std::move(split[i]));
            }
        }
        threads_.parallel_for(static_cast<index_t>(parts.size()), [&](index_t i) {
            auto const n = static_cast<std::size_t>(i);
            run_shard(*shards_[n], parts[n], scale);
        });
        add_shards();
    }
    update();
}

/// The gradients of a shard's batches, from zero.
void Trainer::run_shard(Shard& shard, std::span<TrainBatch const> batches, float scale) {
    shard.ops->replay(0, [&] {
        shard.ops->zero(shard.parameters.gradients, parameters_.size * dtype_bytes(DType::f32));
        shard.model->refresh();
    });
    shard.step_sums = 0;
    index_t part = shard.number;
    for (auto const& batch : batches) {
        if (batch.records() == 0) { continue; }
        run_batch(shard, batch, scale, step_seed(options_.seed, step_, part));
        part += static_cast<index_t>(shards_.size());
    }
    shard.ops->replay(1, [&] { shard.model->finish_gradients(); });
}

void Trainer::run_batch(Shard& shard, TrainBatch const& batch, float scale, std::uint64_t seed) {
    if (options_.piece > 0) {
        CutBatch const cut(batch, options_.piece);
        shard.model->carry(cut.slots(), cut.records().positions());
        return is_pooled(options_.model.objective) ? run_pooled_pieces(shard, cut, scale)
                                                   : run_pieces(shard, cut, scale);
    }
    shard.model->put(batch, scale, seed);
    shard.model->forward_backward();
    shard.keep_sums();
}

/// Back-propagation through time in pieces: see TrainModel.
void Trainer::run_pieces(Shard& shard, CutBatch const& cut, float scale) {
    auto& model = *shard.model;
    auto const put = [&](index_t number) {
        auto const piece = cut.piece(number);
        model.put(piece.batch, scale, 0, piece.slots);
    };
    model.clear_state_gradients();
    for (index_t i = 0; !options_.truncate && i + 1 < cut.pieces(); ++i) {
        put(i);
        model.evaluate(); // leaves the states that the pieces behind begin with
    }
    for (index_t i = 0; i < cut.pieces(); ++i) {
        put(options_.truncate ? i : cut.pieces() - 1 - i);
        model.forward_backward();
        shard.keep_sums();
    }
}

/// The same of pooled objectives: no piece has a loss before all have passed.
void Trainer::run_pooled_pieces(Shard& shard, CutBatch const& cut, float scale) {
    auto& model = *shard.model;
    for (index_t i = 0; i < cut.pieces(); ++i) {
        auto const piece = cut.piece(i);
        model.put(piece.batch, scale, 0, piece.slots);
        model.forward_piece();
    }
    model.judge(cut.records(), scale, true);
    shard.keep_sums();
    for (index_t i = cut.pieces() - 1; i >= 0; --i) {
        auto const piece = cut.piece(i);
        model.put(piece.batch, scale, 0, piece.slots);
        model.backward_piece(i + 1 < cut.pieces());
    }
}

/// Sums the gradients of all shards: of replicas into each of them, else into the first one's, in order.
void Trainer::add_shards() {
    if (options_.exchange) {
        std::vector<GradientExchange::Part> parts;
        for (auto const& shard : shards_) {
            parts.push_back({shard->ops.get(), shard->parameters.gradients});
        }
        return options_.exchange->sum(parts, parameters_.size);
    }
    constexpr index_t kRun = 1 << 14;
    index_t const size = parameters_.size;
    threads_.parallel_for((size + kRun - 1) / kRun, [&](index_t run) {
        index_t const begin = run * kRun;
        Matrix const to{shards_[0]->parameters.gradients + begin, DType::f32, 1, std::min(kRun, size - begin)};
        for (std::size_t i = 1; i < shards_.size(); ++i) {
            shards_[0]->ops->add({shards_[i]->parameters.gradients + begin, DType::f32, 1, to.cols}, to);
        }
    });
}

void Trainer::update() {
    AdamWStep const step = adamw_step(options_.optimizer, step_, options_.steps);
    for (index_t i = 0; i < replicas_; ++i) {
        update(*shards_[static_cast<std::size_t>(i)], step);
    }
    Waiting waiting;
    waiting.report.step = step_;
    waiting.report.learning_rate = learning_rate(options_.optimizer, step_, options_.steps);
    for (auto const& shard : shards_) {
        waiting.sums.push_back(shard->step_sums);
    }
    waiting_.push_back(std::move(waiting));
}

/// Of one replica, by the gradients of all.
void Trainer::update(Shard& shard, AdamWStep const& step) {
    shard.ops->upload(shard.step, &step, sizeof(step));
    shard.ops->replay(2, [&] {
        shard.ops->squared_norm(shard.parameters.gradients, shard.flags, parameters_.size, shard.squared_norm);
        AdamWArgs args;
        args.parameters = shard.parameters.values;
        args.gradients = shard.parameters.gradients;
        args.moment1 = shard.moment1;
        args.moment2 = shard.moment2;
        args.flags = shard.flags;
        args.count = parameters_.size;
        args.step = shard.step;
        args.squared_norm = shard.squared_norm;
        args.working =
            shard.parameters.working_type == DType::bf16 ? static_cast<bf16_t*>(shard.parameters.working) : nullptr;
        args.average = shard.average;
        shard.ops->adamw(args);
    });
    shard.norms->push(shard.squared_norm);
}

std::vector<StepReport> Trainer::reports() {
    std::vector<StepReport> reports;
    for (auto& waiting : std::exchange(waiting_, {})) {
        auto& report = waiting.report;
        for (std::size_t i = 0; i < shards_.size(); ++i) {
            for (index_t n = 0; n < waiting.sums[i]; ++n) {
                report.sums += shards_[i]->sums.pop();
            }
        }
        report.gradient_norm = pop_norm(report.step);
        reports.push_back(report);
    }
    return reports;
}

/// The norm of all gradients in the oldest step that waits. Replicas have to agree on it to the bit: after one that
/// does not, they are different models.
double Trainer::pop_norm(index_t step) {
    double const squared = shards_.front()->norms->pop();
    for (index_t i = 1; i < replicas_; ++i) {
        auto& shard = *shards_[static_cast<std::size_t>(i)];
        if (std::bit_cast<std::uint64_t>(shard.norms->pop()) != std::bit_cast<std::uint64_t>(squared)) {
            throw Error(ErrorCode::device, "step " + std::to_string(step) + ": device " + std::to_string(i) +
                                               " has other gradients than the first: they are not one model any more");
        }
    }
    return std::sqrt(squared);
}

LossSums Trainer::evaluate(TrainBatch const& batch, std::vector<float>* outputs) {
    auto const parts = split_batch(batch, static_cast<index_t>(shards_.size()), parameters_.config.frame_length);
    std::vector<LossSums> sums(parts.size());
    std::vector<std::vector<float>> logits(parts.size());
    swap_average();
    threads_.parallel_for(static_cast<index_t>(parts.size()), [&](index_t i) {
        auto const n = static_cast<std::size_t>(i);
        if (parts[n].records() == 0) { return; }
        sums[n] = evaluate_part(*shards_[n], parts[n], outputs == nullptr ? nullptr : &logits[n]);
    });
    swap_average();
    LossSums all;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        all += sums[i];
        if (outputs != nullptr) { outputs->insert(outputs->end(), logits[i].begin(), logits[i].end()); }
    }
    return all;
}

/// Goes over to the averaged parameters, and back.
void Trainer::swap_average() {
    for (auto const& shard : shards_) {
        if (shard->average != nullptr) { shard->swap_average(); }
    }
}

LossSums Trainer::evaluate_part(Shard& shard, TrainBatch const& batch, std::vector<float>* outputs) {
    auto& model = *shard.model;
    model.refresh();
    if (options_.piece > 0) { return evaluate_pieces(shard, {batch, options_.piece}, outputs); }
    model.put(batch, 1.0F, 0);
    model.evaluate();
    if (outputs != nullptr) { *outputs = model.outputs(); }
    return model.sums();
}

LossSums Trainer::evaluate_pieces(Shard& shard, CutBatch const& cut, std::vector<float>* outputs) {
    auto& model = *shard.model;
    bool const pooled = is_pooled(options_.model.objective);
    LossSums sums;
    model.carry(cut.slots(), cut.records().positions());
    for (index_t i = 0; i < cut.pieces(); ++i) {
        auto const piece = cut.piece(i);
        model.put(piece.batch, 1.0F, 0, piece.slots);
        if (pooled) {
            model.forward_piece();
        } else {
            model.evaluate();
            sums += model.sums();
        }
    }
    if (!pooled) { return sums; }
    model.judge(cut.records(), 1.0F, false);
    if (outputs != nullptr) { *outputs = model.outputs(); }
    return model.sums();
}

TrainerState Trainer::state(index_t replica) {
    auto& shard = *shards_.at(static_cast<std::size_t>(replica));
    return {step_, shard.download(shard.parameters.values), shard.download(shard.moment1),
            shard.download(shard.moment2),
            shard.average == nullptr ? std::vector<float>() : shard.download(shard.average)};
}

} // namespace strandwave
