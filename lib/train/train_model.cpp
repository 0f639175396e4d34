#include "lib/train/train_model.h"

#include "lib/core/error.h"
#include "lib/model/frame_embedding.h"

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
    Matrix filtered, powers, d_powers;    ///< [rows, 2 n_bands], [rows, n_bands] twice, f32; empty without bands
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
            filtered = store.matrix(DType::f32, rows, 2 * c.n_bands);
            powers = store.matrix(DType::f32, rows, c.n_bands);
            d_powers = store.matrix(DType::f32, rows, c.n_bands);
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
}

TrainModel::~TrainModel() = default;

index_t TrainModel::bytes() const noexcept {
    return fixed_.bytes_used() + head_.bytes() + (a_ ? a_->store.bytes_used() : 0) +
           (carried_ ? carried_->bytes_used() : 0);
}

TrainCapacity TrainModel::capacity() const {
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
    capacity.parts = part_capacity_;
    return capacity;
}

void TrainModel::grow(index_t rows, index_t records) {
    if (rows <= row_capacity_ && records <= record_capacity_) { return; }
    row_capacity_ = std::max(rows, row_capacity_);
    record_capacity_ = std::max(records, record_capacity_);
    a_.reset();
    ops_.reserve(capacity());
    a_ = std::make_unique<Activations>(*p_.model, options_, capacity(), ops_);
    head_.reserve(row_capacity_, record_capacity_);
}

void TrainModel::carry(index_t slots, index_t parts) {
    if (config_.bidirectional) {
        throw Error(ErrorCode::unsupported, "a bidirectional model carries no state from piece to piece");
    }
    if (options_.dropout > 0) { throw Error(ErrorCode::unsupported, "records in pieces are trained without dropout"); }
    if (slots <= slot_capacity_ && parts <= part_capacity_) { return; }
    slot_capacity_ = std::max(slots, slot_capacity_);
    part_capacity_ = std::max(parts, part_capacity_);
    if (a_) { ops_.reserve(capacity()); } // replays know the memory that goes away
    carried_.emplace(ops_);
    for (int i = 0; i < 4; ++i) {
        states_[i] = carried_->array<float>(state_size(i));
    }
    clear_states({0, 1, 2, 3});
    head_.reserve_parts(part_capacity_);
}

/// Numbers of a kind of state, over all layers and slots.
index_t TrainModel::state_size(int kind) const {
    index_t const rows = kind % 2 == 0 ? config_.d_conv - 1 : config_.d_state;
    return config_.n_layer * slot_capacity_ * rows * config_.d_inner;
}

void TrainModel::put(TrainBatch const& batch, float scale, std::uint64_t seed, std::span<RecordSlots const> slots) {
    positions_ = batch.positions();
    records_ = batch.records();
    rows_ = positions_ * config_.strands();
    grow(rows_, records_);
    check_slots(slots);
    place_records(batch, slots);
    upload_inputs(batch);
    ops_.upload(seed_, &seed, sizeof(seed));
    ops_.set_records(segments_);
    if (is_pooled(options_.objective) && !slots.empty()) { return head_.put_piece(segments_, slots); }
    head_.put(batch, segments_, scale);
}

void TrainModel::check_slots(std::span<RecordSlots const> slots) const {
    if (slots.empty()) { return; }
    if (static_cast<index_t>(slots.size()) != records_) {
        throw Error(ErrorCode::shape_mismatch, "a batch of pieces has slots for another number of records");
    }
    for (auto const& slot : slots) {
        if (std::max(slot.initial, slot.final) < slot_capacity_ && slot.part < part_capacity_) { continue; }
        throw Error(ErrorCode::invalid_argument, "a piece has a slot or a part that is not carried");
    }
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
    Matrix const frames = a_->frames.rows_from(0, rows_);
    Matrix const powers = a_->powers.rows_from(0, rows_);
    bool const bands = config_.n_bands > 0;
    if (bands) {
        Matrix const filtered = a_->filtered.rows_from(0, rows_);
        ops_.gemm(frames, false, p_.value_matrix(p_.model->filter_bank), true, filtered, false);
        ops_.band_power(filtered, power_scale(config_.frame_length), powers);
    }
    ops_.gemm(bands ? powers : frames, false, p_.value_matrix(p_.model->frame_weight), true, x, false);
    ops_.gemm(a_->ones.rows_from(0, rows_), false, p_.value_matrix(p_.model->frame_bias), false, x, true);
}

void TrainModel::embed_backward() {
    Matrix const dx = a_->d_residual.rows_from(0, rows_);
    if (config_.frame_length == 0) {
        ops_.embed_backward(a_->tokens, dx, config_.vocab_size, p_.gradient(p_.model->embedding));
        return;
    }
    Matrix const frames = a_->frames.rows_from(0, rows_);
    ops_.column_sum(dx, p_.gradient(p_.model->frame_bias));
    if (config_.n_bands == 0) {
        return ops_.gemm(dx, true, frames, false, p_.gradient_matrix(p_.model->frame_weight), true);
    }
    Matrix const filtered = a_->filtered.rows_from(0, rows_);
    Matrix const d_powers = a_->d_powers.rows_from(0, rows_);
    ops_.gemm(dx, true, a_->powers.rows_from(0, rows_), false, p_.gradient_matrix(p_.model->frame_weight), true);
    ops_.gemm(dx, false, p_.value_matrix(p_.model->frame_weight), false, d_powers, false);
    ops_.band_power_backward(filtered, power_scale(config_.frame_length), d_powers, filtered);
    ops_.gemm(filtered, true, frames, false, p_.gradient_matrix(p_.model->filter_bank), true);
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
    if (slot_capacity_ > 0) {
        index_t const conv = layer * (state_size(0) / config_.n_layer);
        index_t const scan = layer * (state_size(1) / config_.n_layer);
        run.state = {states_[0] + conv, states_[1] + scan, states_[2] + conv, states_[3] + scan};
    }
    return run;
}

void TrainModel::forward(bool training) {
    forward_layers(training);
    head_.forward(a_->residuals.back().rows_from(0, rows_), training ? seed_ : nullptr, training);
}

void TrainModel::forward_layers(bool training) {
    embed();
    for (index_t i = 0; i < config_.n_layer; ++i) {
        auto const n = static_cast<std::size_t>(i);
        layers_[n].forward(a_->residuals[n].rows_from(0, rows_), a_->residuals[n + 1].rows_from(0, rows_), kept(i),
                           a_->scratch, layer_run(i, training));
    }
}

void TrainModel::backward() {
    head_.backward(a_->residuals.back().rows_from(0, rows_), seed_, a_->d_residual.rows_from(0, rows_));
    backward_layers();
}

/// From the gradient of the last residual stream on.
void TrainModel::backward_layers() {
    Matrix const d_residual = a_->d_residual.rows_from(0, rows_);
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

void TrainModel::forward_piece() {
    ops_.replay(mix(key_, 3), [&] {
        forward_layers(true);
        head_.pool_piece(a_->residuals.back().rows_from(0, rows_));
    });
    head_.keep_parts();
}

void TrainModel::judge(TrainBatch const& records, float scale, bool gradient) {
    if (records.positions() > part_capacity_) {
        throw Error(ErrorCode::invalid_argument, "records have pieces whose pooled vectors are not carried");
    }
    head_.put_records(records, scale);
    auto const key = mix(mix(2, records.positions()), records.records());
    ops_.replay(mix(key, gradient ? 1 : 2), [&] { head_.judge(gradient); });
}

void TrainModel::backward_piece(bool forward_again) {
    head_.take_part_gradients();
    ops_.replay(mix(key_, forward_again ? 4 : 5), [&] {
        if (forward_again) { forward_layers(true); }
        head_.backward_piece(a_->residuals.back().rows_from(0, rows_), a_->d_residual.rows_from(0, rows_));
        backward_layers();
    });
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

void TrainModel::clear_state_gradients() { clear_states({2, 3}); }

void TrainModel::clear_states(std::initializer_list<int> kinds) {
    for (int const kind : kinds) {
        if (state_size(kind) > 0) { ops_.zero(states_[kind], state_size(kind) * dtype_bytes(DType::f32)); }
    }
}

} // namespace strandwave
