#include "lib/train/train_model.h"

#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {
namespace {

/// What a replay must not mix up: the sizes that launches depend on.
std::uint64_t mix(std::uint64_t key, index_t value) {
    key = (key ^ static_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15ULL;
    return key ^ (key >> 29);
}

} // namespace

struct TrainModel::Activations {
    MatrixStore store;
    std::int32_t* tokens = nullptr;
    Matrix frames;                        ///< [rows, frame_length] f32
    Matrix ones;                          ///< [rows, 1] f32, for the bias of frames
    std::vector<Matrix> residuals;        ///< [n_layer + 1][rows, d_model] f32
    std::vector<LayerActivations> layers; ///< one if they are made again
    LayerScratch scratch;
    Matrix d_residual; ///< [rows, d_model] f32

    Activations(ModelParameters const& model, TrainModelOptions const& options, TrainCapacity const& capacity,
                TrainOps& ops)
        : store(ops), scratch(model.config, ops.activation(), capacity.rows, ops, store) {
        auto const& c = model.config;
        index_t const rows = capacity.rows;
        index_t const states = options.recompute ? 0 : ops.kept_states(capacity);
        tokens = store.array<std::int32_t>(c.frame_length > 0 ? 0 : rows);
        if (c.frame_length > 0) {
            frames = store.matrix(DType::f32, rows, c.frame_length);
            ones = store.matrix(DType::f32, rows, 1);
            std::vector<float> const host(static_cast<std::size_t>(rows), 1.0F);
            ops.upload(ones.data, host.data(), rows * dtype_bytes(DType::f32));
        }
        for (index_t i = 0; i <= c.n_layer; ++i) {
            residuals.push_back(store.matrix(DType::f32, rows, c.d_model));
        }
        std::size_t const kept = options.recompute ? 1 : model.layers.size();
        for (std::size_t i = 0; i < kept && i < model.layers.size(); ++i) {
            layers.emplace_back(c, model.layers[i], ops.activation(), rows, states, store);
        }
        d_residual = store.matrix(DType::f32, rows, c.d_model);
    }
};

TrainModel::TrainModel(DeviceParameters const& parameters, TrainOps& ops, TrainModelOptions options)
    : p_(parameters), config_(parameters.model->config), ops_(ops), options_(options), fixed_(ops),
      head_(parameters, ops, options.objective, options.pooling, options.dropout),
      seed_(fixed_.array<std::uint64_t>(1)) {
    for (auto const& layer : parameters.model->layers) {
        layers_.emplace_back(parameters, layer, ops, fixed_);
    }
    if (options.slots > 0 && config_.bidirectional) {
        throw Error(ErrorCode::unsupported, "a bidirectional model carries no state from piece to piece");
    }
    if (options.slots > 0 && options.dropout > 0) {
        throw Error(ErrorCode::unsupported, "records in pieces are trained without dropout");
    }
    index_t const conv = config_.n_layer * options.slots * (config_.d_conv - 1) * config_.d_inner;
    index_t const scan = config_.n_layer * options.slots * config_.d_state * config_.d_inner;
    for (int i = 0; i < 4 && options.slots > 0; ++i) {
        index_t const size = i % 2 == 0 ? conv : scan;
        states_[i] = fixed_.array<float>(size);
        ops.zero(states_[i], size * dtype_bytes(DType::f32));
    }
}

TrainModel::~TrainModel() = default;

index_t TrainModel::bytes() const noexcept {
    return fixed_.bytes_used() + head_.bytes() + (a_ ? a_->store.bytes_used() : 0);
}

void TrainModel::grow(index_t rows, index_t records) {
    if (rows <= row_capacity_ && records <= record_capacity_) { return; }
    row_capacity_ = std::max(rows, row_capacity_);
    record_capacity_ = std::max(records, record_capacity_);
    a_.reset();
    TrainCapacity capacity;
    capacity.rows = row_capacity_;
    capacity.segments = record_capacity_ * config_.strands();
    capacity.d_model = config_.d_model;
    capacity.d_inner = config_.d_inner;
    capacity.d_state = config_.d_state;
    capacity.d_conv = config_.d_conv;
    capacity.dt_rank = config_.dt_rank;
    capacity.vocab_size = config_.vocab_size;
    capacity.outputs = (*p_.model)[p_.model->head_weight].rows;
    ops_.reserve(capacity);
    a_ = std::make_unique<Activations>(*p_.model, options_, capacity, ops_);
    head_.reserve(row_capacity_, record_capacity_);
}

void TrainModel::put(TrainBatch const& batch, float scale, std::uint64_t seed, std::span<RecordSlots const> slots) {
    positions_ = batch.positions();
    records_ = batch.records();
    rows_ = positions_ * config_.strands();
    grow(rows_, records_);
    place_records(batch, slots);
    upload_inputs(batch);
    ops_.upload(seed_, &seed, sizeof(seed));
    ops_.set_records(segments_);
    head_.put(batch, segments_, scale);
}

void TrainModel::place_records(TrainBatch const& batch, std::span<RecordSlots const> slots) {
    segments_.clear();
    key_ = mix(mix(1, rows_), records_);
    index_t begin = 0;
    for (std::size_t i = 0; i < batch.lengths.size(); ++i) {
        RecordSlots const slot = slots.empty() ? RecordSlots{} : slots[i];
        for (index_t strand = 0; strand < config_.strands(); ++strand) {
            segments_.push_back({begin, batch.lengths[i], slot.initial, slot.final});
            begin += batch.lengths[i];
        }
        key_ = mix(key_, (batch.lengths[i] + kBlockRows - 1) / kBlockRows);
    }
}

void TrainModel::upload_inputs(TrainBatch const& batch) {
    if (config_.frame_length > 0) {
        auto const floats = static_cast<std::size_t>(positions_ * config_.frame_length);
        if (batch.frames.size() != floats) {
            throw Error(ErrorCode::shape_mismatch, "a batch has frames of another length than the model's");
        }
        ops_.upload(a_->frames.data, batch.frames.data(), static_cast<index_t>(floats * sizeof(float)));
        return;
    }
    if (static_cast<index_t>(batch.tokens.size()) != positions_) {
        throw Error(ErrorCode::shape_mismatch, "a batch has " + std::to_string(batch.tokens.size()) + " tokens for " +
                                                   std::to_string(positions_) + " positions");
    }
    host_tokens_.clear();
    auto next = batch.tokens.begin();
    for (index_t const length : batch.lengths) {
        host_tokens_.insert(host_tokens_.end(), next, next + length);
        if (config_.rcps) {
            std::transform(std::make_reverse_iterator(next + length), std::make_reverse_iterator(next),
                           std::back_inserter(host_tokens_), [&](std::int32_t token) {
                               return config_.complement_map.at(static_cast<std::size_t>(token));
                           });
        }
        next += length;
    }
    auto const bad = std::find_if(host_tokens_.begin(), host_tokens_.end(),
                                  [&](std::int32_t token) { return token < 0 || token >= config_.vocab_size; });
    if (bad != host_tokens_.end()) {
        throw Error(ErrorCode::invalid_argument, "token " + std::to_string(*bad) + " is outside the vocabulary of " +
                                                     std::to_string(config_.vocab_size));
    }
    ops_.upload(a_->tokens, host_tokens_.data(), rows_ * static_cast<index_t>(sizeof(std::int32_t)));
}

void TrainModel::refresh() {
    for (auto& layer : layers_) {
        layer.refresh();
    }
}

void TrainModel::finish_gradients() {
    for (auto& layer : layers_) {
        layer.finish_gradients();
    }
}

void TrainModel::embed() {
    Matrix const x = a_->residuals.front().rows_from(0, rows_);
    if (config_.frame_length == 0) {
        ops_.embed(p_.value(p_.model->embedding), config_.vocab_size, a_->tokens, x);
        return;
    }
    ops_.gemm(a_->frames.rows_from(0, rows_), false, p_.value_matrix(p_.model->frame_weight), true, x, false);
    ops_.gemm(a_->ones.rows_from(0, rows_), false, p_.value_matrix(p_.model->frame_bias), false, x, true);
}

void TrainModel::embed_backward() {
    Matrix const dx = a_->d_residual.rows_from(0, rows_);
    if (config_.frame_length == 0) {
        ops_.embed_backward(a_->tokens, dx, config_.vocab_size, p_.gradient(p_.model->embedding));
        return;
    }
    ops_.gemm(dx, true, a_->frames.rows_from(0, rows_), false, p_.gradient_matrix(p_.model->frame_weight), true);
    ops_.column_sum(dx, p_.gradient(p_.model->frame_bias));
}

LayerActivations const& TrainModel::kept(index_t layer) const {
    return a_->layers[options_.recompute ? 0 : static_cast<std::size_t>(layer)];
}

LayerRun TrainModel::layer_run(index_t layer, bool training) const {
    LayerRun run;
    run.rows = rows_;
    run.dropout = training ? options_.dropout : 0;
    run.seed = seed_;
    run.site = static_cast<std::uint64_t>(layer);
    if (options_.slots > 0) {
        index_t const conv = layer * options_.slots * (config_.d_conv - 1) * config_.d_inner;
        index_t const scan = layer * options_.slots * config_.d_state * config_.d_inner;
        run.state = {states_[0] + conv, states_[1] + scan, states_[2] + conv, states_[3] + scan};
    }
    return run;
}

void TrainModel::forward(bool training) {
    embed();
    for (index_t i = 0; i < config_.n_layer; ++i) {
        auto const n = static_cast<std::size_t>(i);
        layers_[n].forward(a_->residuals[n].rows_from(0, rows_), a_->residuals[n + 1].rows_from(0, rows_), kept(i),
                           a_->scratch, layer_run(i, training));
    }
    head_.forward(a_->residuals.back().rows_from(0, rows_), training ? seed_ : nullptr, training);
}

void TrainModel::backward() {
    Matrix const d_residual = a_->d_residual.rows_from(0, rows_);
    head_.backward(a_->residuals.back().rows_from(0, rows_), seed_, d_residual);
    index_t const last = config_.n_layer - 1;
    for (index_t i = last; i >= 0 && i + 1 >= options_.first_layer; --i) {
        auto const n = static_cast<std::size_t>(i);
        Matrix const residual = a_->residuals[n].rows_from(0, rows_);
        auto const run = layer_run(i, true);
        if (options_.recompute && i < last) { layers_[n].forward(residual, {}, kept(i), a_->scratch, run); }
        layers_[n].backward(residual, d_residual, kept(i), a_->scratch, run);
    }
    if (options_.first_layer == 0) { embed_backward(); }
}

void TrainModel::forward_backward() {
    ops_.replay(mix(key_, 1), [&] {
        forward(true);
        backward();
    });
}

void TrainModel::evaluate() {
    ops_.replay(mix(key_, 2), [&] { forward(false); });
}

LossSums TrainModel::sums() {
    LossSums sums;
    ops_.download(&sums, head_.sums(), sizeof(sums));
    return sums;
}

std::vector<float> TrainModel::outputs() {
    Matrix const logits = head_.outputs();
    std::vector<float> values(static_cast<std::size_t>(logits.rows * logits.cols));
    ops_.download(values.data(), logits.data, static_cast<index_t>(values.size() * sizeof(float)));
    return values;
}

void TrainModel::clear_state_gradients() {
    if (options_.slots == 0) { return; }
    ops_.zero(states_[2],
              config_.n_layer * options_.slots * (config_.d_conv - 1) * config_.d_inner * dtype_bytes(DType::f32));
    ops_.zero(states_[3],
              config_.n_layer * options_.slots * config_.d_state * config_.d_inner * dtype_bytes(DType::f32));
}

} // namespace strandwave
