#include "apps/starting_model.h"

#include "lib/checkpoint/safetensors.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "lib/model/config.h"
#include "lib/model/initialise.h"

#include <algorithm>
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

/// The head that Hugging Face calls a sequence classifier's gives a number too.
void make_head(Json& config, WantedHead const& wanted) {
    config["architectures"] = {class_prefix(config) + "ForSequenceClassification"};
    if (wanted.number) {
        config.erase("id2label");
        config.erase("label2id");
        config["problem_type"] = "regression";
        config["num_labels"] = 1;
        return;
    }
    auto const& classes = wanted.classes;
    config["id2label"] = Json::object();
    config["label2id"] = Json::object();
    for (std::size_t i = 0; i < classes.size(); ++i) {
        config["id2label"][std::to_string(i)] = classes[i];
        config["label2id"][classes[i]] = i;
    }
    config.erase("num_labels");
    config.erase("problem_type");
}

bool has_weights(fs::path const& folder) {
    if (!fs::is_directory(folder)) { throw Error(ErrorCode::not_found, folder.string() + ": is no directory"); }
    for (auto const& entry : fs::directory_iterator(folder)) {
        auto const extension = entry.path().extension();
        if (extension == ".safetensors" || extension == ".bin" || extension == ".pt") { return true; }
    }
    return false;
}

/// Whether a head of `from` is kept, that of a language model in any case.
bool keeps_head(ModelConfig const& from, WantedHead const& wanted) {
    if (wanted.number) { return from.regression; }
    bool const classifier = from.head == HeadKind::classifier && !from.regression;
    return wanted.classes.empty() || (classifier && from.labels == wanted.classes);
}

void copy_weights(fs::path const& from, fs::path const& to) {
    TensorStore const store = open_checkpoint(from);
    std::vector<TensorToWrite> tensors;
    for (auto const& [name, tensor] : store.tensors()) {
        tensors.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
    }
    write_safetensors(to / "model.safetensors", tensors);
}

/// Published heads have none; the mean of the labels becomes one.
void add_head_bias(fs::path const& folder) {
    TensorStore const store = open_checkpoint(folder);
    if (store.find("score.bias") != nullptr) { return; }
    write_classifier_weights(folder, folder, read_f32(*store.find("score.weight")), std::vector<float>{0.0F});
}

/// As the published code draws a new head.
void write_fresh_head(fs::path const& from, fs::path const& to, index_t outputs, std::uint64_t seed) {
    index_t const d_model = read_model_config(from, open_checkpoint(from)).d_model;
    Random random(seed);
    std::vector<float> weight(static_cast<std::size_t>(outputs * d_model));
    std::generate(weight.begin(), weight.end(), [&] { return static_cast<float>(0.02 * random.normal()); });
    write_classifier_weights(from, to, weight, std::vector<float>(static_cast<std::size_t>(outputs), 0.0F));
}

} // namespace

void write_classifier_config(fs::path const& from, fs::path const& to, std::vector<std::string> const& classes) {
    auto config = read_config(from);
    make_head(config, {classes});
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

StartingModel write_starting_model(fs::path const& from, fs::path const& to, WantedHead const& wanted,
                                   std::uint64_t seed) {
    bool const answers_tokens = wanted.classes.empty() && !wanted.number;
    if (!has_weights(from)) {
        auto config = read_config(from);
        if (!answers_tokens) { make_head(config, wanted); }
        write_config(config, to);
        initialise_model(to / "config.json", seed, to, true);
        if (wanted.number) { write_fresh_head(to, to, 1, seed); } // with a bias
        return {"fresh parameters, seed " + std::to_string(seed), true};
    }
    auto const model = read_model_config(from, open_checkpoint(from));
    if (keeps_head(model, wanted)) {
        write_config(read_config(from), to);
        copy_weights(from, to);
        if (wanted.number) { add_head_bias(to); }
        return {"parameters of " + from.string(), false};
    }
    auto config = read_config(from);
    make_head(config, wanted);
    write_config(config, to);
    index_t const outputs = wanted.number ? 1 : static_cast<index_t>(wanted.classes.size());
    write_fresh_head(from, to, outputs, seed);
    return {"parameters of " + from.string() + " with a fresh head of " +
                (wanted.number ? "one number" : std::to_string(outputs) + " classes"),
            true};
}

} // namespace strandwave
