#pragma once

#include "lib/checkpoint/safetensors.h"
#include "lib/core/random.h"
#include "tests/model/independent_reference.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace strandwave::test {

enum class Dialect { hugging_face, original, falcon_mamba, caduceus_ph, caduceus_ps };

/// A model of random weights in one of the published dialects, with every choice that a config may make.
struct RandomModel {
    std::string name;
    Dialect dialect = Dialect::hugging_face;
    index_t d_model = 24;
    index_t n_layer = 2;
    index_t vocab_size = 16;
    index_t expand = 2;
    index_t d_state = 16;
    index_t d_conv = 4;
    index_t dt_rank = 2;
    bool bias = false; ///< of in_proj and out_proj
    bool conv_bias = true;
    bool layer_norm = false;
    bool tied_head = true;
    index_t labels = 0; ///< > 0: a classifier
    bool multiply = false;
    bool weight_tie = true; ///< Caduceus: in_proj and out_proj of both directions are the same
    bool fused_add_norm = true;
    index_t frame_length = 0;
    index_t n_bands = 0;

    bool caduceus() const { return dialect == Dialect::caduceus_ph || dialect == Dialect::caduceus_ps; }
    bool rcps() const { return dialect == Dialect::caduceus_ps; }

    independent::Description description() const;
    nlohmann::json config() const;
    independent::Tensors tensors(std::uint64_t seed) const;

    /// Writes config.json and model.safetensors, tied tensors once as published files have them.
    void write(std::filesystem::path const& folder, independent::Tensors const& tensors) const;
};

inline std::ostream& operator<<(std::ostream& out, RandomModel const& model) { return out << model.name; }

/// A and T, C and G change places; everything else stays.
inline std::vector<std::int32_t> caduceus_complement(index_t vocab_size) {
    std::vector<std::int32_t> map;
    for (std::int32_t id = 0; id < vocab_size; ++id) {
        map.push_back(id >= 7 && id <= 10 ? 17 - id : id);
    }
    return map;
}

inline independent::Description RandomModel::description() const {
    independent::Description d;
    d.n_layer = n_layer;
    d.caduceus = caduceus();
    d.rcps = rcps();
    d.fused_add_norm = fused_add_norm;
    d.multiply = multiply;
    d.layer_norm = layer_norm;
    d.mixer_rms_epsilon = dialect == Dialect::falcon_mamba ? 1e-6 : 0;
    if (rcps()) { d.complement = caduceus_complement(vocab_size); }
    return d;
}

inline nlohmann::json RandomModel::config() const {
    nlohmann::json c;
    nlohmann::json const ssm_cfg = {{"d_state", d_state}, {"d_conv", d_conv}, {"expand", expand},
                                    {"dt_rank", dt_rank}, {"bias", bias},     {"conv_bias", conv_bias}};
    if (caduceus()) {
        c = {{"model_type", "caduceus"},
             {"d_model", d_model},
             {"n_layer", n_layer},
             {"vocab_size", vocab_size},
             {"ssm_cfg", ssm_cfg},
             {"rms_norm", !layer_norm},
             {"norm_epsilon", 1e-5},
             {"fused_add_norm", fused_add_norm},
             {"residual_in_fp32", true},
             {"bidirectional", true},
             {"bidirectional_strategy", multiply ? "ew_multiply" : "add"},
             {"bidirectional_weight_tie", weight_tie},
             {"rcps", rcps()},
             {"pad_vocab_size_multiple", 8}};
        auto const map = caduceus_complement(vocab_size);
        for (std::size_t id = 0; id < map.size(); ++id) {
            c["complement_map"][std::to_string(id)] = map[id];
        }
        if (!tied_head) { c["tie_word_embeddings"] = false; }
    } else if (dialect == Dialect::original) {
        c = {{"d_model", d_model},     {"n_layer", n_layer},           {"vocab_size", vocab_size},
             {"ssm_cfg", ssm_cfg},     {"rms_norm", !layer_norm},      {"residual_in_fp32", true},
             {"fused_add_norm", true}, {"pad_vocab_size_multiple", 1}, {"tie_embeddings", tied_head}};
    } else {
        bool const falcon = dialect == Dialect::falcon_mamba;
        c = {{"model_type", falcon ? "falcon_mamba" : "mamba"},
             {"hidden_size", d_model},
             {"intermediate_size", expand * d_model},
             {"num_hidden_layers", n_layer},
             {"vocab_size", vocab_size},
             {"state_size", d_state},
             {"conv_kernel", d_conv},
             {"expand", expand},
             {"time_step_rank", dt_rank},
             {"layer_norm_epsilon", 1e-5},
             {"use_bias", bias},
             {"use_conv_bias", conv_bias},
             {"hidden_act", "silu"},
             {"tie_word_embeddings", tied_head}};
        if (falcon) { c["mixer_rms_eps"] = 1e-6; }
    }
    for (index_t i = 0; i < labels; ++i) {
        c["id2label"][std::to_string(i)] = "class " + std::to_string(i);
        c["label2id"]["class " + std::to_string(i)] = i;
    }
    if (frame_length > 0) { c["frame_length"] = frame_length; }
    if (n_bands > 0) { c["n_bands"] = n_bands; }
    return c;
}

inline independent::Tensors RandomModel::tensors(std::uint64_t seed) const {
    Random random(seed);
    independent::Tensors all;
    auto const add = [&](std::string const& key, std::vector<index_t> shape, double center, double spread) {
        index_t n = 1;
        for (index_t const extent : shape) {
            n *= extent;
        }
        independent::Tensor tensor{std::move(shape), {}};
        for (index_t i = 0; i < n; ++i) {
            tensor.values.push_back(static_cast<float>(center + spread * random.normal()));
        }
        all[key] = std::move(tensor);
    };
    // Spread 1/sqrt(inputs) keeps the size of activations; all else is moved off its usual value so that it shows.
    auto const matrix = [&](std::string const& key, index_t out, index_t in) {
        add(key, {out, in}, 0.0, 1.0 / std::sqrt(static_cast<double>(in)));
    };
    auto const norm = [&](std::string const& key) {
        add(key + ".weight", {d_model}, 1.0, 0.2);
        if (layer_norm) { add(key + ".bias", {d_model}, 0.0, 0.2); }
    };
    index_t const E = expand * d_model;
    auto const mixer = [&](std::string const& at, bool projections) {
        if (projections) {
            matrix(at + "in_proj.weight", 2 * E, d_model);
            matrix(at + "out_proj.weight", d_model, E);
            if (bias) {
                add(at + "in_proj.bias", {2 * E}, 0.0, 0.3);
                add(at + "out_proj.bias", {d_model}, 0.0, 0.3);
            }
        }
        add(at + "conv1d.weight", {E, 1, d_conv}, 0.0, 0.5);
        if (conv_bias) { add(at + "conv1d.bias", {E}, 0.0, 0.3); }
        matrix(at + "x_proj.weight", dt_rank + 2 * d_state, E);
        matrix(at + "dt_proj.weight", E, dt_rank);
        add(at + "dt_proj.bias", {E}, -2.0, 1.5);
        add(at + "A_log", {E, d_state}, 0.5, 1.0);
        add(at + "D", {E}, 1.0, 0.5);
    };

    std::string const prefix = caduceus() ? "caduceus.backbone." : "backbone.";
    std::string const wrapped = rcps() && !fused_add_norm ? ".submodule" : "";
    if (frame_length > 0) {
        if (n_bands > 0) { matrix(prefix + "filter_bank.weight", 2 * n_bands, frame_length); }
        matrix(prefix + "frame_embedding.weight", d_model, n_bands > 0 ? n_bands : frame_length);
        add(prefix + "frame_embedding.bias", {d_model}, 0.0, 0.3);
    } else if (caduceus()) {
        add(prefix + "embeddings.word_embeddings." + (rcps() ? "embedding.weight" : "weight"), {vocab_size, d_model},
            0.0, 1.0);
    } else {
        add(prefix + (dialect == Dialect::original ? "embedding.weight" : "embeddings.weight"), {vocab_size, d_model},
            0.0, 1.0);
    }
    for (index_t i = 0; i < n_layer; ++i) {
        std::string const layer = prefix + "layers." + std::to_string(i) + ".";
        norm(layer + "norm" + wrapped);
        if (caduceus()) {
            std::string const at = layer + (rcps() ? "mixer.submodule." : "mixer.");
            mixer(at + "mamba_fwd.", true);
            mixer(at + "mamba_rev.", !weight_tie);
        } else {
            mixer(layer + "mixer.", true);
        }
    }
    norm(prefix + "norm_f" + wrapped);
    if (labels > 0) {
        matrix("score.weight", labels, d_model);
    } else if (!tied_head) {
        matrix(rcps() ? "lm_head.lm_head.weight" : "lm_head.weight", vocab_size, d_model);
    }
    return all;
}

inline void RandomModel::write(std::filesystem::path const& folder, independent::Tensors const& tensors) const {
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << config().dump(2);
    std::vector<TensorToWrite> list;
    for (auto const& [key, tensor] : tensors) {
        list.push_back({key, DType::f32, tensor.shape, std::as_bytes(std::span(tensor.values))});
    }
    std::vector<std::int64_t> map;
    if (rcps()) { // a buffer of the published files
        auto const complement = caduceus_complement(vocab_size);
        map.assign(complement.begin(), complement.end());
        list.push_back({"caduceus.backbone.embeddings.word_embeddings.complement_map",
                        DType::i64,
                        {vocab_size},
                        std::as_bytes(std::span(map))});
    }
    write_safetensors(folder / "model.safetensors", list);
}

} // namespace strandwave::test
