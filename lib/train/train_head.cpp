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
    ops_.upload(scale_, &scale, sizeof(float));
    index_t const places = is_pooled(objective_) ? records_ : rows_;
    logits_ = logit_memory_.rows_from(0, places);
    dlogits_ = dlogit_memory_.rows_from(0, places);
    if (!is_pooled(objective_)) {
        put_token_targets(batch, segments);
        return;
    }
    put_pools(segments, records_);
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

void TrainHead::forward(Matrix residual, std::uint64_t const* seed, bool gradient) {
    Matrix const hidden = hidden_.rows_from(0, rows_);
    ops_.norm(norm_, residual, hidden);
    Matrix const dlogits = gradient ? dlogits_ : Matrix();
    if (!is_pooled(objective_)) {
        ops_.gemm(hidden, false, weight(), true, logits_, false);
        ops_.cross_entropy({token_targets_, mates_, complement_}, logits_, scale_, dlogits, sums_);
        return;
    }
    Matrix const pooled = pooled_.rows_from(0, records_);
    ops_.pool(pooling_, hidden, pooled);
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
    Matrix const dweight = p_.gradient_matrix(p_.model->head_weight);
    if (is_pooled(objective_)) {
        Matrix const pooled = pooled_.rows_from(0, records_);
        Matrix const dpooled = dpooled_.rows_from(0, records_);
        ops_.gemm(dlogits_, true, pooled, false, dweight, true);
        if (p_.model->head_bias != kNone) { ops_.column_sum(dlogits_, p_.gradient(p_.model->head_bias)); }
        ops_.gemm(dlogits_, false, weight(), false, dpooled, false);
        if (seed != nullptr && dropout_ > 0) { ops_.dropout(dpooled, dropout_, seed, kPooledSite); }
        ops_.pool_backward(pooling_, hidden, dpooled, dhidden);
    } else {
        ops_.gemm(dlogits_, true, hidden, false, dweight, true);
        ops_.gemm(dlogits_, false, weight(), false, dhidden, false);
    }
    ops_.norm_backward(norm_, residual, dhidden, d_residual, false, p_.gradient(p_.model->final_norm_weight),
                       p_.gradient(p_.model->final_norm_bias));
}

} // namespace strandwave
