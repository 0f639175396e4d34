#include "lib/model/model.h"

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/buffer.h"
#include "lib/core/check.h"
#include "lib/model/model_parts.h"

#include <algorithm>
#include <utility>

namespace strandwave {
namespace {

/// The head of a model that reads both strands: logits[t] = W s1[t] + W[complement] s2[t]
/// (RCPSLMHead of kuleshov-group/caduceus), as one matrix [vocab, 2 * d_model].
Buffer<float> both_strands(float const* weight, ModelConfig const& config) {
    index_t const d = config.d_model;
    Buffer<float> joined(config.vocab_size * 2 * d);
    for (index_t id = 0; id < config.vocab_size; ++id) {
        index_t const complement = config.complement_map[static_cast<std::size_t>(id)];
        std::copy_n(weight + id * d, d, joined.data() + id * 2 * d);
        std::copy_n(weight + complement * d, d, joined.data() + id * 2 * d + d);
    }
    return joined;
}

Linear make_language_model(Model::Parts const& parts) {
    auto const& config = parts.config;
    DType const dtype = parts.device.is_gpu() ? DType::f32 : parts.dtype; // heads run on the processor
    float const* weight = parts.head_weight.empty() ? parts.embedding.data() : parts.head_weight.data();
    if (config.strands() == 1) { return {View<float const, 2>(weight, config.vocab_size, config.d_model), {}, dtype}; }
    auto const joined = both_strands(weight, config);
    return {joined.view(config.vocab_size, 2 * config.d_model), {}, dtype};
}

} // namespace

Model::Model(std::unique_ptr<Parts const> parts) : parts_(std::move(parts)) {}
Model::~Model() = default;

std::shared_ptr<Model const> Model::load(std::filesystem::path const& directory, LoadOptions const& options) {
    auto store = open_checkpoint(directory);
    auto const config = read_model_config(directory, store);
    try {
        return std::shared_ptr<Model const>(new Model(load_parts(config, store, options)));
    } catch (Error const& error) { throw Error(error.code(), directory.string() + ": " + error.message()); }
}

ModelConfig const& Model::config() const noexcept { return parts_->config; }
DType Model::dtype() const noexcept { return parts_->dtype; }
Device Model::device() const noexcept { return parts_->device; }
index_t Model::parameters() const noexcept { return parts_->parameters; }
index_t Model::hidden_width() const noexcept { return config().strands() * config().d_model; }
bool Model::causal() const noexcept { return !config().bidirectional && !config().rcps; }

index_t Model::state_bytes() const noexcept {
    auto const& c = config();
    return c.n_layer * c.d_inner * (c.d_state + c.d_conv - 1) * static_cast<index_t>(sizeof(float));
}

std::vector<float> Model::classify(View<float const, 1> pooled) const {
    if (config().head != HeadKind::classifier) {
        throw Error(ErrorCode::unsupported, "the model has no classification head (score.weight)");
    }
    check_extent("classify", "pooled", pooled.size, config().d_model);
    std::vector<float> logits(config().labels.size());
    for (std::size_t label = 0; label < logits.size(); ++label) {
        float const* row = parts_->head_weight.data() + static_cast<index_t>(label) * pooled.size;
        double sum = parts_->head_bias.empty() ? 0.0 : parts_->head_bias[static_cast<index_t>(label)];
        for (index_t c = 0; c < pooled.size; ++c) {
            sum += static_cast<double>(row[c]) * pooled(c);
        }
        logits[label] = static_cast<float>(sum);
    }
    return logits;
}

void Model::language_model_logits(View<float const, 2> hidden, View<float, 2> logits) const {
    if (config().head != HeadKind::language_model) {
        throw Error(ErrorCode::unsupported, "the model has no language-model head");
    }
    std::call_once(parts_->language_model_once, [&] { parts_->language_model = make_language_model(*parts_); });
    check_extent("language_model_logits", "rows of logits", logits.rows, hidden.rows);
    constexpr index_t kRows = 16; // of every product, for the same bits; few, for a call may have one row only
    Buffer<float> padded(hidden.rows % kRows == 0 ? 0 : kRows * (hidden.cols + logits.cols));
    for (index_t begin = 0; begin < hidden.rows; begin += kRows) {
        index_t const count = std::min(kRows, hidden.rows - begin);
        if (count == kRows) {
            parts_->language_model->apply(hidden.rows_from(begin, count), logits.rows_from(begin, count));
            continue;
        }
        View<float, 2> const in(padded.data(), kRows, hidden.cols);
        View<float, 2> const out(padded.data() + kRows * hidden.cols, kRows, logits.cols);
        std::fill(std::copy_n(hidden.row(begin), count * hidden.cols, in.data), out.data, 0.0F);
        parts_->language_model->apply(in, out);
        std::copy_n(out.data, count * logits.cols, logits.row(begin));
    }
}

} // namespace strandwave
