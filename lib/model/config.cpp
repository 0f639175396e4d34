#include "lib/model/config.h"

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/model/declared_config.h"
#include "lib/model/tensor_layout.h"

#include <cstring>

namespace strandwave {
namespace {

constexpr index_t kMaxExtent = index_t{1} << 31;

using Wrapping = TensorLayout::Wrapping;

[[noreturn]] void malformed(std::string const& what) { throw Error(ErrorCode::malformed_checkpoint, what); }

/// Extents from the tensors, flags from the names, and the check of both against what the config states.
class ConfigBuilder {
public:
    ConfigBuilder(DeclaredConfig const& declared, TensorStore const& store)
        : declared_(declared), store_(store), layout_(detect_layout(store)), config_(declared.model) {}

    ModelConfig build() {
        check_architecture();
        read_extents();
        check_extents();
        check_biases();
        read_head();
        if (config_.rcps) { read_complement_map(); }
        return config_;
    }

private:
    [[noreturn]] void disagree(std::string const& key, std::string const& stated, std::string const& tensor,
                               std::string const& actual) const {
        malformed(declared_.path + ": key '" + key + "' says " + stated + ", but tensor '" + tensor + "' says " +
                  actual);
    }

    void check_extent(std::string const& key, std::optional<index_t> stated, std::string const& tensor,
                      index_t actual) const {
        if (stated && *stated != actual) { disagree(key, std::to_string(*stated), tensor, std::to_string(actual)); }
    }

    /// `tensor` is there exactly if the flag has the value `when_there`.
    void check_flag(char const* key, std::optional<bool> stated, std::string const& tensor, bool when_there) const {
        bool const there = store_.find(tensor) != nullptr;
        if (stated && (*stated == when_there) != there) {
            malformed(declared_.path + ": key '" + key + "' is " + (*stated ? "true" : "false") + ", but tensor '" +
                      tensor + (there ? "' is there" : "' is not there"));
        }
    }

    void check_architecture() {
        bool const caduceus = layout_.wrapping != Wrapping::plain;
        if (caduceus != (config_.architecture == Architecture::caduceus)) {
            malformed(declared_.path + ": the config is that of a " +
                      std::string(architecture_name(config_.architecture)) + " model, but the tensors are named '" +
                      layout_.forward_mixer(0) + "*'");
        }
        if (!caduceus) { return; }
        check_flag("rcps", config_.rcps, layout_.layer(0) + "mixer.submodule.mamba_fwd.A_log", true);
        if (config_.rcps) {
            check_flag("fused_add_norm", config_.fused_add_norm, layout_.layer(0) + "norm.submodule.weight", false);
        }
    }

    /// The shape of a tensor that must be there with this rank, every extent usable.
    std::vector<index_t> const& shape(std::string const& name, std::size_t rank) const {
        auto const* const tensor = store_.find(name);
        if (tensor == nullptr) { malformed("tensor '" + name + "' is missing"); }
        bool fits = tensor->shape.size() == rank;
        for (index_t const extent : tensor->shape) {
            fits = fits && extent >= 1 && extent <= kMaxExtent;
        }
        if (!fits) {
            malformed("tensor '" + name + "' has shape " + shape_text(tensor->shape) + ", not " + std::to_string(rank) +
                      " extents from 1 to 2^31");
        }
        return tensor->shape;
    }

    void read_extents() {
        auto const mixer = layout_.forward_mixer(0);
        config_.n_layer = count_layers(layout_, store_);
        config_.d_inner = shape(mixer + "A_log", 2)[0];
        config_.d_state = shape(mixer + "A_log", 2)[1];
        config_.d_conv = shape(mixer + "conv1d.weight", 3)[2];
        config_.dt_rank = shape(mixer + "dt_proj.weight", 2)[1];
        if (store_.find(layout_.frame_embedding() + "weight") != nullptr) {
            read_frame_extents();
        } else {
            auto const& embedding = shape(layout_.embedding(), 2);
            config_.vocab_size = embedding[0];
            config_.d_model = embedding[1];
        }
    }

    void read_frame_extents() {
        auto const& embedding = shape(layout_.frame_embedding() + "weight", 2);
        config_.d_model = embedding[0];
        config_.frame_length = embedding[1];
        if (store_.find(layout_.filter_bank()) == nullptr) { return; }
        auto const& filters = shape(layout_.filter_bank(), 2);
        config_.n_bands = embedding[1];
        config_.frame_length = filters[1];
    }

    void check_extents() const {
        auto const mixer = layout_.forward_mixer(0);
        auto const embedding = config_.frame_length > 0 ? layout_.frame_embedding() + "weight" : layout_.embedding();
        check_extent(declared_.d_model.key, declared_.d_model.value, embedding, config_.d_model);
        check_extent(declared_.n_layer.key, declared_.n_layer.value, layout_.layer(config_.n_layer - 1) + "*",
                     config_.n_layer);
        check_extent(declared_.d_state.key, declared_.d_state.value, mixer + "A_log", config_.d_state);
        check_extent(declared_.d_conv.key, declared_.d_conv.value, mixer + "conv1d.weight", config_.d_conv);
        check_extent(declared_.dt_rank.key, declared_.rank(config_.d_model), mixer + "dt_proj.weight", config_.dt_rank);
        // Falcon-Mamba's published files state an `expand` that is not theirs: intermediate_size counts before it.
        check_extent(declared_.intermediate_size.value ? declared_.intermediate_size.key : "expand * d_model",
                     declared_.d_inner(config_.d_model), mixer + "A_log", config_.d_inner);
        if (config_.frame_length > 0 || declared_.frame_length.value) {
            bool const bands = config_.n_bands > 0;
            check_extent(declared_.frame_length.key, declared_.frame_length.value.value_or(0),
                         bands ? layout_.filter_bank() : embedding, config_.frame_length);
            check_extent(declared_.n_bands.key, declared_.n_bands.value.value_or(0), embedding, config_.n_bands);
        } else if (auto const stated = declared_.vocab_size.value;
                   stated && declared_.padded_vocab_size(*stated) != config_.vocab_size) {
            check_extent(declared_.vocab_size.key, stated, embedding, config_.vocab_size);
        }
    }

    void check_biases() {
        auto const mixer = layout_.forward_mixer(0);
        config_.bias = store_.find(mixer + "in_proj.bias") != nullptr;
        config_.conv_bias = store_.find(mixer + "conv1d.bias") != nullptr;
        bool const hugging_face = declared_.dialect == Dialect::hugging_face;
        check_flag(hugging_face ? "use_bias" : "ssm_cfg.bias", declared_.bias, mixer + "in_proj.bias", true);
        check_flag(hugging_face ? "use_conv_bias" : "ssm_cfg.conv_bias", declared_.conv_bias, mixer + "conv1d.bias",
                   true);
        if (!hugging_face) {
            check_flag("rms_norm", config_.norm == NormKind::rms_norm, layout_.norm(0) + "bias", false);
        }
    }

    /// The tensors tell a classifier and a head of its own; the class or the wrapping tells a tied one.
    void read_head() {
        bool const own_head = store_.find(layout_.head()) != nullptr;
        bool const wrapped = layout_.backbone == "caduceus.backbone." ||
                             (layout_.backbone == "backbone." && layout_.wrapping == Wrapping::plain);
        if (declared_.head == HeadKind::classifier || store_.find(TensorLayout::classifier()) != nullptr) {
            config_.head = HeadKind::classifier;
            config_.tied_head = false;
            read_labels();
            return;
        }
        config_.labels.clear();
        config_.regression = false;
        if (config_.frame_length == 0) {
            auto const implied = wrapped ? HeadKind::language_model : HeadKind::none;
            config_.head = own_head ? HeadKind::language_model : declared_.head.value_or(implied);
        }
        if (config_.head != HeadKind::language_model) { config_.tied_head = false; }
        // The RC-equivariant head is tied by its code, whatever the config says.
        if (config_.rcps && config_.head == HeadKind::language_model && !own_head) { config_.tied_head = true; }
    }

    void read_labels() {
        auto const name = TensorLayout::classifier();
        auto const count = shape(name, 2)[0];
        check_extent("num_labels", declared_.num_labels.value, name, count);
        if (config_.regression && count != 1) {
            throw Error(ErrorCode::unsupported, declared_.path + ": key 'problem_type' is 'regression' with " +
                                                    std::to_string(count) + " outputs; only one can be run");
        }
        auto& labels = config_.labels;
        if (!labels.empty()) {
            check_extent("id2label", static_cast<index_t>(labels.size()), name, count);
            return;
        }
        for (index_t i = 0; i < count; ++i) {
            labels.push_back("LABEL_" + std::to_string(i));
        }
    }

    /// The buffer of the checkpoint is what the weights were trained with; the config stands in for a missing one.
    void read_complement_map() {
        auto const name = layout_.embedding_complement_map();
        auto& map = config_.complement_map;
        std::string origin = declared_.path + ": key 'complement_map'";
        if (auto const* const buffer = store_.find(name); buffer != nullptr) {
            map = read_token_ids(*buffer, name);
            origin = "tensor '" + name + "'";
        } else {
            for (auto id = static_cast<index_t>(map.size()); id < config_.vocab_size; ++id) {
                map.push_back(static_cast<std::int32_t>(id)); // tokens that padding added are their own complement
            }
        }
        if (auto const* const buffer = store_.find(TensorLayout::head_complement_map());
            buffer != nullptr && read_token_ids(*buffer, TensorLayout::head_complement_map()) != map) {
            malformed("tensor '" + TensorLayout::head_complement_map() + "' differs from " + origin);
        }
        check_involution(origin);
    }

    void check_involution(std::string const& origin) const {
        auto const& map = config_.complement_map;
        auto const size = static_cast<index_t>(map.size());
        if (size != config_.vocab_size) {
            malformed(origin + " has " + std::to_string(size) + " entries for " + std::to_string(config_.vocab_size) +
                      " tokens");
        }
        for (index_t id = 0; id < size; ++id) {
            auto const complement = map[static_cast<std::size_t>(id)];
            if (complement < 0 || complement >= size || map[static_cast<std::size_t>(complement)] != id) {
                malformed(origin + " maps token " + std::to_string(id) + " to " + std::to_string(complement) +
                          ", which does not map back");
            }
        }
    }

    static std::vector<std::int32_t> read_token_ids(StoredTensor const& tensor, std::string const& name) {
        if (tensor.dtype != DType::i64 || tensor.shape.size() != 1) {
            malformed("tensor '" + name + "' is not a list of i64");
        }
        std::vector<std::int32_t> ids;
        for (index_t i = 0; i < tensor.elements(); ++i) {
            std::int64_t id = 0;
            std::memcpy(&id, tensor.bytes.data() + i * static_cast<index_t>(sizeof(id)), sizeof(id));
            ids.push_back(id >= 0 && id < kMaxExtent ? static_cast<std::int32_t>(id) : -1);
        }
        return ids;
    }

    DeclaredConfig const& declared_;
    TensorStore const& store_;
    TensorLayout layout_;
    ModelConfig config_;
};

} // namespace

std::string_view architecture_name(Architecture architecture) noexcept {
    switch (architecture) {
    case Architecture::mamba: return "mamba";
    case Architecture::falcon_mamba: return "falcon_mamba";
    case Architecture::caduceus: return "caduceus";
    }
    return "unknown";
}

ModelConfig read_model_config(std::filesystem::path const& directory, TensorStore const& store) {
    auto const declared = read_declared_config(directory / "config.json");
    try {
        return ConfigBuilder(declared, store).build();
    } catch (Error const& error) {
        if (error.message().starts_with(declared.path)) { throw; }
        throw Error(error.code(), directory.string() + ": " + error.message());
    }
}

} // namespace strandwave
