#pragma once

#include "lib/encode/preprocessor_config.h"
#include "lib/model/initialise.h"
#include "tests/support/run_program.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace strandwave {

/// Small fresh models for tests of what stands around a model; each is a directory below `folder`.
inline std::filesystem::path make_model(std::filesystem::path const& folder, std::string const& name,
                                        nlohmann::json const& config, PreprocessorConfig const& preprocessor) {
    auto const json = write_text(folder / (name + ".json"), config.dump());
    initialise_model(json, 5, folder / name);
    write_preprocessor_config(folder / name, preprocessor);
    return folder / name;
}

inline nlohmann::json classes(std::string const& first, std::string const& second, std::string const& third) {
    return {{"0", first}, {"1", second}, {"2", third}};
}

inline nlohmann::json mamba_config(index_t vocab_size) {
    return {{"architectures", {"MambaForSequenceClassification"}},
            {"model_type", "mamba"},
            {"vocab_size", vocab_size},
            {"hidden_size", 8},
            {"intermediate_size", 16},
            {"state_size", 4},
            {"conv_kernel", 4},
            {"time_step_rank", 2},
            {"num_hidden_layers", 2},
            {"layer_norm_epsilon", 1e-5},
            {"use_bias", false},
            {"use_conv_bias", true},
            {"id2label", classes("red", "green", "blue")}};
}

/// Causal, reads DNA, three classes.
inline std::filesystem::path make_dna_model(std::filesystem::path const& folder, PreprocessorConfig config = {}) {
    return make_model(folder, "dna", mamba_config(16), config);
}

/// Causal, reads DNA, without a classifier head.
inline std::filesystem::path make_headless_model(std::filesystem::path const& folder) {
    auto config = mamba_config(16);
    config["architectures"] = {"MambaForCausalLM"};
    config["tie_word_embeddings"] = true;
    config.erase("id2label");
    return make_model(folder, "headless", config, {});
}

/// Bidirectional (`rcps`: and equivariant to the reverse complement), reads DNA, three classes.
inline std::filesystem::path make_caduceus_model(std::filesystem::path const& folder, bool rcps = false) {
    nlohmann::json complement;
    for (int id = 0; id < 16; ++id) {
        complement[std::to_string(id)] = id >= 7 && id <= 10 ? 17 - id : id;
    }
    nlohmann::json const config = {
        {"architectures", {"CaduceusForSequenceClassification"}},
        {"model_type", "caduceus"},
        {"d_model", 8},
        {"n_layer", 2},
        {"vocab_size", 16},
        {"bidirectional", true},
        {"bidirectional_strategy", "add"},
        {"bidirectional_weight_tie", true},
        {"rcps", rcps},
        {"fused_add_norm", true},
        {"rms_norm", true},
        {"norm_epsilon", 1e-5},
        {"residual_in_fp32", false},
        {"pad_vocab_size_multiple", 8},
        {"complement_map", complement},
        {"ssm_cfg", {{"d_state", 4}, {"d_conv", 4}, {"expand", 2}, {"dt_rank", "auto"}, {"bias", false}}},
        {"id2label", classes("red", "green", "blue")}};
    return make_model(folder, rcps ? "caduceus-ps" : "caduceus-ph", config, {});
}

/// Causal, reads sound at 8 kHz as mu-law tokens, three classes.
inline std::filesystem::path make_sound_model(std::filesystem::path const& folder) {
    PreprocessorConfig config;
    config.input = InputKind::audio;
    config.audio.sampling_rate_hz = 8000;
    return make_model(folder, "sound", mamba_config(256), config);
}

/// The same with frames of 16 samples, half overlapping.
inline std::filesystem::path make_frame_model(std::filesystem::path const& folder) {
    PreprocessorConfig config;
    config.input = InputKind::audio;
    config.audio.sampling_rate_hz = 8000;
    config.audio.encoding = AudioEncoding::frames;
    config.audio.frame_length = 16;
    config.audio.frame_hop = 8;
    auto json = mamba_config(16);
    json["frame_length"] = 16;
    return make_model(folder, "frames", json, config);
}

/// Pseudo-random bases; the same every time.
inline std::string bases(index_t count, std::uint32_t seed = 1) {
    std::string letters;
    for (index_t i = 0; i < count; ++i) {
        seed = seed * 1664525U + 1013904223U;
        letters += "ACGT"[seed >> 30];
    }
    return letters;
}

inline std::string fasta(std::string const& name, std::string const& letters) {
    return ">" + name + "\n" + letters + "\n";
}

/// A WAV file, 16 bit, of a tone that differs from channel to channel.
inline std::string wav(index_t frames, int channels, int rate) {
    auto const number = [](std::uint32_t value, int bytes) {
        std::string text;
        for (int i = 0; i < bytes; ++i) {
            text += static_cast<char>(value >> (8 * i) & 0xffU);
        }
        return text;
    };
    std::string data;
    for (index_t i = 0; i < frames; ++i) {
        for (int c = 0; c < channels; ++c) {
            data += number(static_cast<std::uint32_t>((i * (37 + 11 * c) % 200 - 100) * 200) & 0xffffU, 2);
        }
    }
    auto const channel_count = static_cast<std::uint32_t>(channels);
    auto const hz = static_cast<std::uint32_t>(rate);
    auto const bytes = static_cast<std::uint32_t>(data.size());
    return "RIFF" + number(36 + bytes, 4) + "WAVEfmt " + number(16, 4) + number(1, 2) + number(channel_count, 2) +
           number(hz, 4) + number(hz * channel_count * 2, 4) + number(channel_count * 2, 2) + number(16, 2) + "data" +
           number(bytes, 4) + data;
}

} // namespace strandwave
