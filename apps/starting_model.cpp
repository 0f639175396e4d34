#include "apps/starting_model.h"

#include "lib/checkpoint/safetensors.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/model/config.h"
#include "lib/model/initialise.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json read_config(fs::path const& folder) {
    std::ifstream in(folder / "config.json");
    if (!in) { throw Error(ErrorCode::not_found, (folder / "config.json").string() + ": cannot be opened"); }
    try {
        return Json::parse(in);
    } catch (Json::exception const& error) {
        throw Error(ErrorCode::malformed_checkpoint, (folder / "config.json").string() + ": " + error.what());
    }
}

void write_config(Json const& config, fs::path const& folder) {
    std::ofstream out(folder / "config.json");
    out << config.dump(2) << '\n';
    if (!out.flush()) { throw Error(ErrorCode::io, (folder / "config.json").string() + ": cannot be written"); }
}

/// "Mamba", "FalconMamba" or "Caduceus", as the published classes begin.
std::string class_prefix(Json const& config) {
    std::string const type = config.value("model_type", "mamba");
    return type == "caduceus" ? "Caduceus" : type == "falcon_mamba" ? "FalconMamba" : "Mamba";
}

void make_classifier(Json& config, std::vector<std::string> const& classes) {
    config["architectures"] = {class_prefix(config) + "ForSequenceClassification"};
    config["id2label"] = Json::object();
    config["label2id"] = Json::object();
    for (std::size_t i = 0; i < classes.size(); ++i) {
        config["id2label"][std::to_string(i)] = classes[i];
        config["label2id"][classes[i]] = i;
    }
    config.erase("num_labels");
}

bool has_weights(fs::path const& folder) {
    if (!fs::is_directory(folder)) { throw Error(ErrorCode::not_found, folder.string() + ": is no directory"); }
    for (auto const& entry : fs::directory_iterator(folder)) {
        auto const extension = entry.path().extension();
        if (extension == ".safetensors" || extension == ".bin" || extension == ".pt") { return true; }
    }
    return false;
}

/// The classes of the classifier in `folder`; empty if there is none.
std::vector<std::string> classes_of(fs::path const& folder) {
    auto const config = read_model_config(folder, open_checkpoint(folder));
    return config.head == HeadKind::classifier ? config.labels : std::vector<std::string>();
}

/// As the published code draws a new head.
std::vector<float> fresh_head(index_t size, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> weight;
    for (index_t i = 0; i < size; ++i) {
        weight.push_back(static_cast<float>(0.02 * random.normal()));
    }
    return weight;
}

void copy_weights(fs::path const& from, fs::path const& to) {
    TensorStore const store = open_checkpoint(from);
    std::vector<TensorToWrite> tensors;
    for (auto const& [name, tensor] : store.tensors()) {
        tensors.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
    }
    write_safetensors(to / "model.safetensors", tensors);
}

} // namespace

void write_classifier_config(fs::path const& from, fs::path const& to, std::vector<std::string> const& classes) {
    auto config = read_config(from);
    make_classifier(config, classes);
    write_config(config, to);
}

void write_classifier_weights(fs::path const& from, fs::path const& to, std::span<float const> weight,
                              std::span<float const> bias) {
    TensorStore const store = open_checkpoint(from);
    std::vector<TensorToWrite> tensors;
    for (auto const& [name, tensor] : store.tensors()) {
        if (name.rfind("lm_head.", 0) == 0 || name.rfind("score.", 0) == 0) { continue; }
        tensors.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
    }
    auto const classes = static_cast<index_t>(bias.size());
    auto const width = static_cast<index_t>(weight.size()) / classes;
    tensors.push_back({"score.weight", DType::f32, {classes, width}, std::as_bytes(weight)});
    tensors.push_back({"score.bias", DType::f32, {classes}, std::as_bytes(bias)});
    write_safetensors(to / "model.safetensors", tensors);
}

ModelConfig starting_config(fs::path const& from) {
    return has_weights(from) ? read_model_config(from, open_checkpoint(from))
                             : fresh_model_config(from / "config.json");
}

std::string write_starting_model(fs::path const& from, fs::path const& to, std::vector<std::string> const& classes,
                                 std::uint64_t seed) {
    if (!has_weights(from)) {
        auto config = read_config(from);
        if (!classes.empty()) { make_classifier(config, classes); }
        write_config(config, to);
        initialise_model(to / "config.json", seed, to, true);
        return "fresh parameters, seed " + std::to_string(seed);
    }
    if (classes.empty() || classes_of(from) == classes) {
        write_config(read_config(from), to);
        copy_weights(from, to);
        return "parameters of " + from.string();
    }
    auto const config = read_model_config(from, open_checkpoint(from));
    write_classifier_config(from, to, classes);
    auto const count = static_cast<index_t>(classes.size());
    write_classifier_weights(from, to, fresh_head(count * config.d_model, seed),
                             std::vector<float>(classes.size(), 0.0F));
    return "parameters of " + from.string() + " with a fresh head of " + std::to_string(count) + " classes";
}

} // namespace strandwave
