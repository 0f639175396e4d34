#include "lib/model/tensor_names.h"

#include "lib/core/error.h"
#include "lib/model/tensor_layout.h"

#include <algorithm>
#include <set>

namespace strandwave {
namespace {

constexpr std::size_t kNamesInMessage = 20;

std::string join(std::vector<std::string> const& items) {
    std::string text;
    for (std::size_t i = 0; i < std::min(items.size(), kNamesInMessage); ++i) {
        text += (i == 0 ? "" : ", ") + items[i];
    }
    if (items.size() > kNamesInMessage) { text += " and " + std::to_string(items.size() - kNamesInMessage) + " more"; }
    return text;
}

bool same_content(StoredTensor const& a, StoredTensor const& b) {
    return a.dtype == b.dtype && a.shape == b.shape &&
           (a.bytes.data() == b.bytes.data() || std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin()));
}

/// Asks the store for tensors one by one and remembers everything that is wrong with them, so that one message tells
/// all of it.
class Finder {
public:
    using Shape = std::vector<index_t>;

    explicit Finder(TensorStore const& store) : store_(store) {}

    StoredTensor const* require(std::string const& name, Shape const& shape) {
        auto const* const tensor = ask(name, shape);
        if (tensor == nullptr) { missing_.push_back("'" + name + "'"); }
        return tensor;
    }

    StoredTensor const* require_if(bool wanted, std::string const& name, Shape const& shape) {
        return wanted ? require(name, shape) : nullptr;
    }

    /// A second name of `original`: published files hold both or only one; if both, they must be equal.
    StoredTensor const* alias(std::string const& name, std::string const& original_name, StoredTensor const* original) {
        auto const* const copy = store_.find(name);
        known_.insert(name);
        if (copy != nullptr && original != nullptr && !same_content(*copy, *original)) {
            wrong_.push_back("'" + name + "' differs from '" + original_name + "', although the config ties them");
        }
        return original;
    }

    void know(std::string const& name) { known_.insert(name); }

    std::vector<std::string> finish(bool ignore_extra) const {
        auto const fail = [](std::string const& what) { throw Error(ErrorCode::malformed_checkpoint, what); };
        if (!missing_.empty()) { fail("missing tensors: " + join(missing_)); }
        if (!wrong_.empty()) { fail(join(wrong_)); }
        std::vector<std::string> extra;
        for (auto const& [name, tensor] : store_.tensors()) {
            if (!known_.contains(name)) { extra.push_back(name); }
        }
        if (!extra.empty() && !ignore_extra) {
            fail("unexpected tensors, which would not be used: " + join(extra) + " (--ignore-extra passes over them)");
        }
        return extra;
    }

    /// Null if the store lacks it.
    StoredTensor const* optional(std::string const& name, Shape const& shape) { return ask(name, shape); }

private:
    StoredTensor const* ask(std::string const& name, Shape const& shape) {
        known_.insert(name);
        auto const* const tensor = store_.find(name);
        if (tensor == nullptr) { return nullptr; }
        if (tensor->shape != shape) {
            wrong_.push_back("'" + name + "' has shape " + shape_text(tensor->shape) + ", but the model needs " +
                             shape_text(shape));
        }
        bool const floating = tensor->dtype == DType::f64 || tensor->dtype == DType::f32 ||
                              tensor->dtype == DType::f16 || tensor->dtype == DType::bf16;
        if (!floating) {
            wrong_.push_back("'" + name + "' holds " + std::string(dtype_name(tensor->dtype)) +
                             ", but weights are f64, f32, f16 or bf16");
        }
        return tensor;
    }

    TensorStore const& store_;
    std::set<std::string> known_;
    std::vector<std::string> missing_;
    std::vector<std::string> wrong_;
};

/// All but in_proj and out_proj, which a reverse mixer may share.
void find_own_tensors(Finder& finder, ModelConfig const& config, std::string const& name, MixerTensors& mixer) {
    auto const inner = config.d_inner;
    mixer.conv1d_weight = finder.require(name + "conv1d.weight", {inner, 1, config.d_conv});
    mixer.conv1d_bias = finder.require_if(config.conv_bias, name + "conv1d.bias", {inner});
    mixer.x_proj_weight = finder.require(name + "x_proj.weight", {config.dt_rank + 2 * config.d_state, inner});
    mixer.dt_proj_weight = finder.require(name + "dt_proj.weight", {inner, config.dt_rank});
    mixer.dt_proj_bias = finder.require(name + "dt_proj.bias", {inner});
    mixer.A_log = finder.require(name + "A_log", {inner, config.d_state});
    mixer.D = finder.require(name + "D", {inner});
}

void find_projections(Finder& finder, ModelConfig const& config, std::string const& name, MixerTensors& mixer) {
    mixer.in_proj_weight = finder.require(name + "in_proj.weight", {2 * config.d_inner, config.d_model});
    mixer.in_proj_bias = finder.require_if(config.bias, name + "in_proj.bias", {2 * config.d_inner});
    mixer.out_proj_weight = finder.require(name + "out_proj.weight", {config.d_model, config.d_inner});
    mixer.out_proj_bias = finder.require_if(config.bias, name + "out_proj.bias", {config.d_model});
}

MixerTensors find_mixer(Finder& finder, ModelConfig const& config, std::string const& name) {
    MixerTensors mixer;
    find_projections(finder, config, name, mixer);
    find_own_tensors(finder, config, name, mixer);
    return mixer;
}

MixerTensors find_reverse_mixer(Finder& finder, ModelConfig const& config, std::string const& name,
                                std::string const& forward_name, MixerTensors const& forward) {
    if (!config.tied_projections) { return find_mixer(finder, config, name); }
    auto const tied = [&](char const* suffix, StoredTensor const* original) {
        return finder.alias(name + suffix, forward_name + suffix, original);
    };
    MixerTensors mixer;
    mixer.in_proj_weight = tied("in_proj.weight", forward.in_proj_weight);
    mixer.in_proj_bias = config.bias ? tied("in_proj.bias", forward.in_proj_bias) : nullptr;
    mixer.out_proj_weight = tied("out_proj.weight", forward.out_proj_weight);
    mixer.out_proj_bias = config.bias ? tied("out_proj.bias", forward.out_proj_bias) : nullptr;
    find_own_tensors(finder, config, name, mixer);
    return mixer;
}

LayerTensors find_layer(Finder& finder, ModelConfig const& config, TensorLayout const& layout, index_t i) {
    bool const norm_bias = config.norm == NormKind::layer_norm;
    LayerTensors layer;
    layer.norm_weight = finder.require(layout.norm(i) + "weight", {config.d_model});
    layer.norm_bias = finder.require_if(norm_bias, layout.norm(i) + "bias", {config.d_model});
    layer.forward = find_mixer(finder, config, layout.forward_mixer(i));
    if (config.bidirectional) {
        layer.reverse =
            find_reverse_mixer(finder, config, layout.reverse_mixer(i), layout.forward_mixer(i), layer.forward);
    }
    return layer;
}

void find_head(Finder& finder, ModelConfig const& config, TensorLayout const& layout, ModelTensors& tensors) {
    switch (config.head) {
    case HeadKind::none: return;
    case HeadKind::classifier:
        tensors.head_weight =
            finder.require(TensorLayout::classifier(), {static_cast<index_t>(config.labels.size()), config.d_model});
        tensors.head_bias =
            finder.optional(TensorLayout::classifier_bias(), {static_cast<index_t>(config.labels.size())});
        return;
    case HeadKind::language_model:
        tensors.head_weight = config.tied_head
                                  ? finder.alias(layout.head(), layout.embedding(), tensors.embedding_weight)
                                  : finder.require(layout.head(), {config.vocab_size, config.d_model});
        if (config.rcps) { finder.know(TensorLayout::head_complement_map()); }
        return;
    }
}

} // namespace

ModelTensors find_model_tensors(ModelConfig const& config, TensorStore const& store, bool ignore_extra) {
    auto const layout = detect_layout(store);
    Finder finder(store);
    ModelTensors tensors;
    if (config.frame_length > 0) {
        tensors.filter_bank =
            finder.require_if(config.n_bands > 0, layout.filter_bank(), {2 * config.n_bands, config.frame_length});
        tensors.frame_embedding_weight =
            finder.require(layout.frame_embedding() + "weight", {config.d_model, config.frame_inputs()});
        tensors.frame_embedding_bias = finder.require(layout.frame_embedding() + "bias", {config.d_model});
    } else {
        tensors.embedding_weight = finder.require(layout.embedding(), {config.vocab_size, config.d_model});
    }
    if (config.rcps) { finder.know(layout.embedding_complement_map()); }
    for (index_t i = 0; i < config.n_layer; ++i) {
        tensors.layers.push_back(find_layer(finder, config, layout, i));
    }
    tensors.final_norm_weight = finder.require(layout.final_norm() + "weight", {config.d_model});
    tensors.final_norm_bias =
        finder.require_if(config.norm == NormKind::layer_norm, layout.final_norm() + "bias", {config.d_model});
    find_head(finder, config, layout, tensors);
    tensors.extra = finder.finish(ignore_extra);
    return tensors;
}

} // namespace strandwave
