#include "lib/model/declared_config.h"

#include "lib/checkpoint/mapped_file.h"
#include "lib/core/error.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxConfigBytes = std::size_t{4} << 20;
constexpr index_t kMaxExtent = index_t{1} << 31;
constexpr index_t kMaxLayers = 100'000;

/// Python writes Infinity and NaN, which JSON lacks. They become texts: harmless where nobody asks for them, a wrong
/// type where somebody does.
std::string quote_python_tokens(std::string_view text) {
    std::string quoted;
    bool in_text = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (in_text && text[i] == '\\' && i + 1 < text.size()) {
            quoted += text[i++];
        } else if (text[i] == '"') {
            in_text = !in_text;
        } else if (!in_text) {
            auto const rest = text.substr(i);
            auto const tokens = std::array<std::string_view, 3>{"-Infinity", "Infinity", "NaN"};
            auto const* const token = std::find_if(tokens.begin(), tokens.end(),
                                                   [&](auto word) { return rest.substr(0, word.size()) == word; });
            if (token != tokens.end()) {
                quoted += '"' + std::string(*token) + '"';
                i += token->size() - 1;
                continue;
            }
        }
        quoted += text[i];
    }
    return quoted;
}

/// A JSON object asked for keys of known types. An absent or null key gives nothing, one of another type is an error.
class Object {
public:
    Object(std::string path, std::string prefix, Json const& json)
        : path_(std::move(path)), prefix_(std::move(prefix)), json_(json) {}

    [[noreturn]] void malformed(std::string const& key, std::string const& what) const {
        throw Error(ErrorCode::malformed_checkpoint, path_ + ": key '" + prefix_ + key + "' " + what);
    }
    [[noreturn]] void unsupported(std::string const& key, std::string const& what) const {
        throw Error(ErrorCode::unsupported, path_ + ": key '" + prefix_ + key + "' " + what);
    }

    Json const* find(std::string const& key) const {
        auto const found = json_.find(key);
        return found == json_.end() || found->is_null() ? nullptr : &*found;
    }

    /// A boolean, a finite number or a text.
    template <class T>
    std::optional<T> get(std::string const& key) const {
        auto const* const value = find(key);
        if (value == nullptr) { return {}; }
        if constexpr (std::is_same_v<T, bool>) {
            if (!value->is_boolean()) { malformed(key, "must be true or false"); }
        } else if constexpr (std::is_same_v<T, std::string>) {
            if (!value->is_string()) { malformed(key, "must be a text"); }
        } else {
            static_assert(std::is_same_v<T, double>);
            if (!value->is_number() || !std::isfinite(value->get<double>())) { malformed(key, "must be a number"); }
        }
        return value->get<T>();
    }

    template <class T>
    T get_or(std::string const& key, T otherwise) const {
        return get<T>(key).value_or(std::move(otherwise));
    }

    std::optional<index_t> integer(std::string const& key, index_t least = 1, index_t most = kMaxExtent) const {
        auto const* const value = find(key);
        if (value == nullptr) { return {}; }
        // As a double first: an unsigned number above 2^63 would wrap.
        if (!value->is_number_integer() || value->get<double>() < static_cast<double>(least) ||
            value->get<double>() > static_cast<double>(most)) {
            malformed(key, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
        }
        return value->get<index_t>();
    }

    DeclaredExtent extent(std::string const& key, index_t most = kMaxExtent) const {
        return {prefix_ + key, integer(key, 1, most)};
    }

    /// {"0": a, "1": b, .., "10": c}, in the order of the numbers, which must be 0, 1, 2, ..; or the list [a, b, ..].
    std::vector<Json> numbered(std::string const& key) const {
        auto const* const value = find(key);
        if (value == nullptr) { return {}; }
        if (value->is_array()) { return value->get<std::vector<Json>>(); }
        if (!value->is_object()) { malformed(key, "must be an object with the keys \"0\", \"1\", .."); }
        std::vector<Json> items(value->size());
        std::vector<bool> seen(value->size());
        for (auto const& [name, item] : value->items()) {
            std::size_t number = 0;
            auto const parsed = std::from_chars(name.data(), name.data() + name.size(), number);
            if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size() || number >= items.size() ||
                seen[number]) {
                malformed(key, "has " + std::to_string(items.size()) + " entries, but their keys are not 0 to " +
                                   std::to_string(items.size() - 1) + ": '" + name + "'");
            }
            items[number] = item;
            seen[number] = true;
        }
        return items;
    }

    Json const& json() const noexcept { return json_; }

private:
    std::string path_;
    std::string prefix_;
    Json const& json_;
};

Json parse_file(std::filesystem::path const& path) {
    auto const malformed = [&](std::string const& what) {
        throw Error(ErrorCode::malformed_checkpoint, path.string() + ": " + what);
    };
    MappedFile const file(path);
    auto const bytes = file.bytes();
    if (bytes.size() > kMaxConfigBytes) { malformed("larger than 4 MiB"); }
    auto const text = quote_python_tokens({reinterpret_cast<char const*>(bytes.data()), bytes.size()});
    Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) { malformed("not a JSON object"); }
    return json;
}

/// Keys of `ssm_cfg` that say how fresh parameters are drawn or which kernel runs, besides those read elsewhere.
void read_ssm_cfg(Object const& top, DeclaredConfig& config) {
    static Json const none = Json::object();
    auto const* const value = top.find("ssm_cfg");
    if (value != nullptr && !value->is_object()) { top.malformed("ssm_cfg", "must be an object"); }
    Object const ssm(config.path, "ssm_cfg.", value == nullptr ? none : *value);

    static constexpr std::string_view kKnown[] = {"d_state", "d_conv",  "expand",        "dt_rank",  "dt_min",
                                                  "dt_max",  "dt_init", "dt_init_floor", "dt_scale", "conv_bias",
                                                  "bias",    "layer",   "use_fast_path"};
    for (auto const& item : ssm.json().items()) {
        if (std::find(std::begin(kKnown), std::end(kKnown), item.key()) == std::end(kKnown)) {
            ssm.unsupported(item.key(), "is no option of a Mamba-1 mixer");
        }
    }
    auto const layer = ssm.get_or<std::string>("layer", "Mamba1");
    if (layer != "Mamba1") { ssm.unsupported("layer", "is '" + layer + "'; only Mamba1 can be run"); }

    config.d_state = ssm.extent("d_state");
    config.d_conv = ssm.extent("d_conv");
    config.expand = ssm.get<double>("expand");
    config.bias = ssm.get<bool>("bias");
    config.conv_bias = ssm.get<bool>("conv_bias");
    auto const* const rank = ssm.find("dt_rank");
    config.dt_rank_auto = rank != nullptr && *rank == "auto";
    config.dt_rank.key = "ssm_cfg.dt_rank";
    if (!config.dt_rank_auto) { config.dt_rank = ssm.extent("dt_rank"); }

    auto& fresh = config.initialisation;
    fresh.dt_min = ssm.get_or("dt_min", fresh.dt_min);
    fresh.dt_max = ssm.get_or("dt_max", fresh.dt_max);
    fresh.dt_floor = ssm.get_or("dt_init_floor", fresh.dt_floor);
    fresh.dt_scale = ssm.get_or("dt_scale", fresh.dt_scale);
    fresh.dt_constant = ssm.get_or<std::string>("dt_init", "random") == "constant";
}

/// What the original code and Caduceus, which grew from it, have in common.
void read_state_spaces(Object const& top, DeclaredConfig& config) {
    config.dialect = Dialect::state_spaces;
    config.d_model = top.extent("d_model");
    config.n_layer = top.extent("n_layer", kMaxLayers);
    config.model.norm = top.get_or("rms_norm", true) ? NormKind::rms_norm : NormKind::layer_norm;
    config.model.tied_head = top.get_or("tie_embeddings", true);
    read_ssm_cfg(top, config);
    if (top.integer("d_intermediate", 0).value_or(0) > 0) {
        top.unsupported("d_intermediate", "is above 0: layers with an MLP cannot be run");
    }
    if (auto const* const attention = top.find("attn_layer_idx"); attention != nullptr && !attention->empty()) {
        top.unsupported("attn_layer_idx", "is not empty: attention layers cannot be run");
    }
}

void read_caduceus(Object const& top, DeclaredConfig& config) {
    read_state_spaces(top, config);
    config.dialect = Dialect::caduceus;
    auto& model = config.model;
    model.architecture = Architecture::caduceus;
    model.norm_epsilon = static_cast<float>(top.get_or("norm_epsilon", 1e-5));
    model.bidirectional = top.get_or("bidirectional", true);
    model.tied_projections = top.get_or("bidirectional_weight_tie", true);
    model.rcps = top.get_or("rcps", false);
    model.fused_add_norm = top.get_or("fused_add_norm", true);
    model.tied_head = top.get_or("tie_word_embeddings", true);

    auto const strategy = top.get_or<std::string>("bidirectional_strategy", "add");
    if (strategy != "add" && strategy != "ew_multiply") {
        top.unsupported("bidirectional_strategy", "is '" + strategy + "'; known are add and ew_multiply");
    }
    model.strategy = strategy == "add" ? BidirectionalStrategy::add : BidirectionalStrategy::multiply;
    if (model.rcps && !model.bidirectional) {
        top.unsupported("bidirectional", "is false: an RC-equivariant model of one direction cannot be run");
    }
    for (auto const& id : top.numbered("complement_map")) {
        if (!id.is_number_integer() || id.get<double>() < 0 || id.get<double>() >= static_cast<double>(kMaxExtent)) {
            top.malformed("complement_map", "must map token numbers to token numbers");
        }
        model.complement_map.push_back(id.get<std::int32_t>());
    }

    auto const* const initializer = top.find("initializer_cfg");
    if (initializer == nullptr) { return; }
    if (!initializer->is_object()) { top.malformed("initializer_cfg", "must be an object"); }
    Object const fresh(config.path, "initializer_cfg.", *initializer);
    auto& draw = config.initialisation;
    draw.range = fresh.get_or("initializer_range", draw.range);
    draw.rescale_residual = fresh.get_or("rescale_prenorm_residual", draw.rescale_residual);
    draw.residuals_per_layer = fresh.integer("n_residuals_per_layer").value_or(draw.residuals_per_layer);
}

void read_hugging_face(Object const& top, DeclaredConfig& config) {
    config.dialect = Dialect::hugging_face;
    config.d_model = top.extent("hidden_size");
    config.n_layer = top.extent("num_hidden_layers", kMaxLayers);
    config.intermediate_size = top.extent("intermediate_size");
    config.expand = top.get<double>("expand");
    config.d_state = top.extent("state_size");
    config.d_conv = top.extent("conv_kernel");
    config.dt_rank.key = "time_step_rank";
    auto const* const rank = top.find("time_step_rank");
    config.dt_rank_auto = rank != nullptr && *rank == "auto";
    if (!config.dt_rank_auto) { config.dt_rank = top.extent("time_step_rank"); }
    config.bias = top.get<bool>("use_bias");
    config.conv_bias = top.get<bool>("use_conv_bias");
    config.model.norm_epsilon = static_cast<float>(top.get_or("layer_norm_epsilon", 1e-5));
    config.model.tied_head = top.get_or("tie_word_embeddings", true);
    if (config.model.architecture == Architecture::falcon_mamba) {
        config.model.mixer_rms_epsilon = static_cast<float>(top.get_or("mixer_rms_eps", 1e-6));
    }
    auto const activation = top.get_or<std::string>("hidden_act", "silu");
    if (activation != "silu" && activation != "swish") {
        top.unsupported("hidden_act", "is '" + activation + "'; only silu can be run");
    }
    auto& fresh = config.initialisation;
    fresh.dt_min = top.get_or("time_step_min", fresh.dt_min);
    fresh.dt_max = top.get_or("time_step_max", fresh.dt_max);
    fresh.dt_floor = top.get_or("time_step_floor", fresh.dt_floor);
    fresh.dt_scale = top.get_or("time_step_scale", fresh.dt_scale);
    fresh.dt_constant = top.get_or<std::string>("time_step_init_scheme", "random") == "constant";
    fresh.range = top.get_or("initializer_range", 0.1);
    fresh.rescale_residual = top.get_or("rescale_prenorm_residual", false);
}

bool ends_with_any(std::string_view text, std::initializer_list<std::string_view> ends) {
    return std::any_of(ends.begin(), ends.end(), [&](auto end) { return text.ends_with(end); });
}

void read_head(Object const& top, DeclaredConfig& config) {
    if (auto const* const classes = top.find("architectures"); classes != nullptr && !classes->empty()) {
        if (!classes->is_array() || !classes->front().is_string()) {
            top.malformed("architectures", "must be a list of texts");
        }
        auto const name = classes->front().get<std::string>();
        if (ends_with_any(name, {"ForSequenceClassification"})) {
            config.head = HeadKind::classifier;
        } else if (ends_with_any(name, {"ForCausalLM", "ForMaskedLM", "LMHeadModel"})) {
            config.head = HeadKind::language_model;
        } else if (ends_with_any(name, {"Model", "Caduceus"})) {
            config.head = HeadKind::none;
        } else {
            top.unsupported("architectures", "is '" + name +
                                                 "': only language models, sequence classifiers and bare "
                                                 "backbones can be run");
        }
    }
    if (config.frame_length.value && config.head == HeadKind::language_model) {
        top.unsupported("frame_length", "with a language model in 'architectures': frames are no vocabulary");
    }
    config.num_labels = top.extent("num_labels");
    config.model.regression = top.get_or<std::string>("problem_type", "") == "regression";
    for (auto const& label : top.numbered("id2label")) {
        if (!label.is_string()) { top.malformed("id2label", "must map numbers to texts"); }
        auto const text = label.get<std::string>();
        if (std::any_of(text.begin(), text.end(), [](char c) { return c >= 0 && c < ' '; })) {
            top.malformed("id2label", "has a label with a tab, a line break or another control character");
        }
        config.model.labels.push_back(text);
    }
}

} // namespace

DeclaredConfig read_declared_config(std::filesystem::path const& config_json) {
    Json const json = parse_file(config_json);
    DeclaredConfig config;
    config.path = config_json.string();
    Object const top(config.path, "", json);

    auto const type = top.get_or<std::string>("model_type", top.find("rcps") != nullptr ? "caduceus" : "mamba");
    if (type == "caduceus") {
        read_caduceus(top, config);
    } else if (type == "falcon_mamba") {
        config.model.architecture = Architecture::falcon_mamba;
        read_hugging_face(top, config);
    } else if (type != "mamba") {
        top.unsupported("model_type", "is '" + type + "'; known are mamba, falcon_mamba and caduceus");
    } else if (top.find("hidden_size") != nullptr) {
        read_hugging_face(top, config); // old keys such as d_model beside the new ones are left-overs
    } else {
        read_state_spaces(top, config);
    }
    config.vocab_size = top.extent("vocab_size");
    config.pad_vocab_size_multiple = top.integer("pad_vocab_size_multiple").value_or(8);
    config.frame_length = top.extent("frame_length");
    config.n_bands = top.extent("n_bands");
    if (config.n_bands.value && !config.frame_length.value) {
        top.malformed("n_bands", "is for models that read frames: 'frame_length' is missing");
    }
    if (config.frame_length.value && config.model.rcps) {
        top.unsupported("frame_length", "with rcps true: frames of sound have no reverse complement");
    }
    read_head(top, config);
    return config;
}

std::optional<index_t> DeclaredConfig::d_inner(index_t width) const {
    if (intermediate_size.value) { return intermediate_size.value; }
    if (!expand) { return {}; }
    double const inner = *expand * static_cast<double>(width);
    return inner >= 1 && inner <= static_cast<double>(kMaxExtent) ? static_cast<index_t>(inner) : 0;
}

std::optional<index_t> DeclaredConfig::rank(index_t width) const {
    return dt_rank_auto ? (width + 15) / 16 : dt_rank.value;
}

index_t DeclaredConfig::padded_vocab_size(index_t size) const {
    auto const multiple = pad_vocab_size_multiple;
    return (size + multiple - 1) / multiple * multiple;
}

} // namespace strandwave
