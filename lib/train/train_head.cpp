#include "lib/train/train_head.h"

#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {
namespace {

constexpr std::uint64_t kPooledSite = ~std::uint64_t{0}; ///< of the dropout in front of the head

} // namespace

TrainHead::TrainHead(DeviceParameters const& parameters, TrainOps& ops, Objective objective, Pooling pooling,
                     float dropout)
    : p_(parameters), config_(parameters.model->config), ops_(ops), objective_(objective), pooling_(pooling),
      dropout_(dropout), norm_{p_.value(parameters.model->final_norm_weight),
                               p_.value(parameters.model->final_norm_bias), config_.norm_epsilon,
                               config_.norm == NormKind::layer_norm},
      fixed_(ops), scale_(fixed_.array<float>(1)), sums_(fixed_.array<LossSums>(1)) {
    if (parameters.model->head_weight == kNone) {
        throw Error(ErrorCode::unsupported, std::string(objective_name(objective)) + " needs a model with a head");
    }
    if (is_pooled(objective) != (config_.head == HeadKind::classifier)) {
        throw Error(ErrorCode::unsupported, std::string(objective_name(objective)) + " needs a " +
                                                (is_pooled(objective) ? "classifier's" : "language model's") + " head");
    }
    if (config_.rcps && !is_pooled(objective)) {
        complement_ = fixed_.array<std::int32_t>(config_.vocab_size);
        ops.upload(complement_, config_.complement_map.data(),
                   config_.vocab_size * static_cast<index_t>(sizeof(std::int32_t)));
    }
}

Matrix TrainHead::weight() const {
    return is_pooled(objective_) ? p_.value_matrix(p_.model->head_weight) : p_.weight(p_.model->head_weight);
}

void TrainHead::reserve(index_t rows, index_t records) {
    memory_.emplace(ops_);
    auto const type = ops_.activation();
    index_t const outputs = (*p_.model)[p_.model->head_weight].rows;
    hidden_ = memory_->matrix(type, rows, config_.d_model);
    dhidden_ = memory_->matrix(type, rows, config_.d_model);
    if (is_pooled(objective_)) {
        pooled_ = memory_->matrix(DType::f32, records, config_.d_model);
        dpooled_ = memory_->matrix(DType::f32, records, config_.d_model);
        for (auto* m : {&logit_memory_, &dlogit_memory_, &target_memory_}) {
            *m = memory_->matrix(DType::f32, records, outputs);
        }
        ones_ = memory_->matrix(DType::f32, records, 1);
        std::vector<float> const ones(static_cast<std::size_t>(records), 1.0F);
        ops_.upload(ones_.data, ones.data(), records * dtype_bytes(DType::f32));
        return;
    }
    logit_memory_ = memory_->matrix(DType::f32, rows, outputs);
    dlogit_memory_ = memory_->matrix(type, rows, outputs);
    token_targets_ = memory_->array<std::int32_t>(rows);
    mates_ = config_.rcps ? memory_->array<std::int32_t>(rows) : nullptr;
}

void TrainHead::put(TrainBatch const& batch, std::span<PackedSegment const> segments, float scale) {
    records_ = batch.records();
    rows_ = batch.positions() * config_.strands();
    if (is_pooled(objective_)) {
        put_pools(segments, records_);
        return put_pooled_targets(batch, scale);
    }
    ops_.upload(scale_, &scale, sizeof(float));
    logits_ = logit_memory_.rows_from(0, rows_);
    dlogits_ = dlogit_memory_.rows_from(0, rows_);
    put_token_targets(batch, segments);
}

void TrainHead::put_pooled_targets(TrainBatch const& batch, float scale) {
    ops_.upload(scale_, &scale, sizeof(float));
    logits_ = logit_memory_.rows_from(0, records_);
    dlogits_ = dlogit_memory_.rows_from(0, records_);
    auto const wanted = static_cast<std::size_t>(records_ * logits_.cols);
    if (batch.pooled_targets.size() != wanted) {
        throw Error(ErrorCode::shape_mismatch, "a batch has " + std::to_string(batch.pooled_targets.size()) +
                                                   " target numbers, not " + std::to_string(wanted));
    }
    targets_ = target_memory_.rows_from(0, records_);
    ops_.upload(targets_.data, batch.pooled_targets.data(), static_cast<index_t>(wanted * sizeof(float)));
}

/// The strands of a record lie one behind the other, and their vectors are averaged.
void TrainHead::put_pools(std::span<PackedSegment const> segments, index_t records) {
    std::vector<PooledSegment> pools;
    index_t const strands = config_.strands();
    for (index_t i = 0; i < records * strands; ++i) {
        auto const& s = segments[static_cast<std::size_t>(i)];
        pools.push_back({s.begin, s.length, i / strands, 1.0F / static_cast<float>(strands)});
    }
    ops_.set_pools(pools);
}

/// Targets stand at the rows of the first strand; the second one is read from the other end.
void TrainHead::put_token_targets(TrainBatch const& batch, std::span<PackedSegment const> segments) {
    if (static_cast<index_t>(batch.token_targets.size()) != batch.positions()) {
        throw Error(ErrorCode::shape_mismatch, "a batch has " + std::to_string(batch.token_targets.size()) +
                                                   " targets for " + std::to_string(batch.positions()) + " positions");
    }
    std::vector<std::int32_t> targets(static_cast<std::size_t>(rows_), -1);
    std::vector<std::int32_t> mates(mates_ == nullptr ? 0 : targets.size(), -1);
    auto const strands = static_cast<std::size_t>(config_.strands());
    auto next = batch.token_targets.begin();
    for (std::size_t i = 0; i < segments.size(); i += strands) {
        auto const& first = segments[i];
        std::copy_n(next, first.length, targets.begin() + first.begin);
        next += first.length;
        for (index_t t = 0; strands == 2 && t < first.length; ++t) {
            index_t const mate = segments[i + 1].begin + first.length - 1 - t;
            mates[static_cast<std::size_t>(first.begin + t)] = static_cast<std::int32_t>(mate);
            mates[static_cast<std::size_t>(mate)] = static_cast<std::int32_t>(first.begin + t);
        }
    }
    index_t const bytes = rows_ * static_cast<index_t>(sizeof(std::int32_t));
    ops_.upload(token_targets_, targets.data(), bytes);
    if (mates_ != nullptr) { ops_.upload(mates_, mates.data(), bytes); }
}

Matrix TrainHead::normed(Matrix residual) {
    Matrix const hidden = hidden_.rows_from(0, rows_);
    ops_.norm(norm_, residual, hidden);
    return hidden;
}

void TrainHead::forward(Matrix residual, std::uint64_t const* seed, bool gradient) {
    Matrix const hidden = normed(residual);
    if (is_pooled(objective_)) {
        ops_.pool(pooling_, hidden, pooled_.rows_from(0, records_));
        return judge_pooled(seed, gradient);
    }
    ops_.gemm(hidden, false, weight(), true, logits_, false);
    ops_.cross_entropy({token_targets_, mates_, complement_}, logits_, scale_, gradient ? dlogits_ : Matrix(), sums_);
}

/// Logits and loss of what was pooled.
void TrainHead::judge_pooled(std::uint64_t const* seed, bool gradient) {
    Matrix const pooled = pooled_.rows_from(0, records_);
    Matrix const dlogits = gradient ? dlogits_ : Matrix();
    if (seed != nullptr && dropout_ > 0) { ops_.dropout(pooled, dropout_, seed, kPooledSite); }
    ops_.gemm(pooled, false, weight(), true, logits_, false);
    if (p_.model->head_bias != kNone) {
        ops_.gemm(ones_.rows_from(0, records_), false, p_.value_matrix(p_.model->head_bias), false, logits_, true);
    }
    if (objective_ == Objective::classification) {
        ops_.soft_cross_entropy(logits_, targets_, scale_, dlogits, sums_);
    } else {
        ops_.squared_error(logits_, targets_, scale_, dlogits, sums_);
    }
}

void TrainHead::backward(Matrix residual, std::uint64_t const* seed, Matrix d_residual) {
    Matrix const hidden = hidden_.rows_from(0, rows_);
    Matrix const dhidden = dhidden_.rows_from(0, rows_);
    if (is_pooled(objective_)) {
        judge_pooled_backward(seed);
        ops_.pool_backward(pooling_, hidden, dpooled_.rows_from(0, records_), dhidden);
    } else {
        ops_.gemm(dlogits_, true, hidden, false, p_.gradient_matrix(p_.model->head_weight), true);
        ops_.gemm(dlogits_, false, weight(), false, dhidden, false);
    }
    ops_.norm_backward(norm_, residual, dhidden, d_residual, false, p_.gradient(p_.model->final_norm_weight),
                       p_.gradient(p_.model->final_norm_bias));
}

/// The gradients of head and pooled vectors.
void TrainHead::judge_pooled_backward(std::uint64_t const* seed) {
    Matrix const dpooled = dpooled_.rows_from(0, records_);
    ops_.gemm(dlogits_, true, pooled_.rows_from(0, records_), false, p_.gradient_matrix(p_.model->head_weight), true);
    if (p_.model->head_bias != kNone) { ops_.column_sum(dlogits_, p_.gradient(p_.model->head_bias)); }
    ops_.gemm(dlogits_, false, weight(), false, dpooled, false);
    if (seed != nullptr && dropout_ > 0) { ops_.dropout(dpooled, dropout_, seed, kPooledSite); }
}

void TrainHead::reserve_parts(index_t parts) {
    carried_.emplace(ops_);
    part_memory_ = carried_->matrix(DType::f32, parts, config_.d_model);
    dpart_memory_ = carried_->matrix(DType::f32, parts, config_.d_model);
}

void TrainHead::put_piece(std::span<PackedSegment const> segments, std::span<RecordSlots const> slots) {
    std::vector<PooledSegment> pools;
    parts_.clear();
    rows_ = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        float const factor = pooling_ == Pooling::mean ? slots[i].share : 1.0F;
        pools.push_back({segments[i].begin, segments[i].length, static_cast<index_t>(i), factor});
        parts_.push_back(slots[i].part);
        rows_ += segments[i].length;
    }
    records_ = static_cast<index_t>(parts_.size());
    ops_.set_pools(pools);
}

void TrainHead::pool_piece(Matrix residual) { ops_.pool(pooling_, normed(residual), pooled_.rows_from(0, records_)); }

void TrainHead::keep_parts() {
    for (index_t i = 0; i < records_; ++i) {
        ops_.copy_bytes(part_memory_.rows_from(parts_[static_cast<std::size_t>(i)], 1).data,
                        pooled_.rows_from(i, 1).data, config_.d_model * dtype_bytes(DType::f32));
    }
}

void TrainHead::put_records(TrainBatch const& records, float scale) {
    std::vector<PooledSegment> pools;
    part_count_ = 0;
    for (index_t const parts : records.lengths) {
        pools.push_back({part_count_, parts, static_cast<index_t>(pools.size()), 1.0F});
        part_count_ += parts;
    }
    records_ = records.records();
    ops_.set_pools(pools);
    put_pooled_targets(records, scale);
}

void TrainHead::judge(bool gradient) {
    Matrix const parts = part_memory_.rows_from(0, part_count_);
    ops_.pool(pooling_, parts, pooled_.rows_from(0, records_));
    judge_pooled(nullptr, gradient);
    if (!gradient) { return; }
    judge_pooled_backward(nullptr);
    ops_.pool_backward(pooling_, parts, dpooled_.rows_from(0, records_), dpart_memory_.rows_from(0, part_count_));
}

void TrainHead::take_part_gradients() {
    for (index_t i = 0; i < records_; ++i) {
        ops_.copy_bytes(dpooled_.rows_from(i, 1).data,
                        dpart_memory_.rows_from(parts_[static_cast<std::size_t>(i)], 1).data,
                        config_.d_model * dtype_bytes(DType::f32));
    }
}

void TrainHead::backward_piece(Matrix residual, Matrix d_residual) {
    // Normed rows say where maxima are; other poolings do not read them.
    Matrix const hidden = pooling_ == Pooling::max ? normed(residual) : hidden_.rows_from(0, rows_);
    Matrix const dhidden = dhidden_.rows_from(0, rows_);
    ops_.pool_backward(pooling_, hidden, dpooled_.rows_from(0, records_), dhidden);
    ops_.norm_backward(norm_, residual, dhidden, d_residual, false, p_.gradient(p_.model->final_norm_weight),
                       p_.gradient(p_.model->final_norm_bias));
}

} // namespace strandwave
