#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

class TensorStore;

enum class Architecture : std::uint8_t { mamba, falcon_mamba, caduceus };
enum class NormKind : std::uint8_t { rms_norm, layer_norm };
enum class HeadKind : std::uint8_t { none, language_model, classifier };
enum class BidirectionalStrategy : std::uint8_t { add, multiply };

std::string_view architecture_name(Architecture architecture) noexcept; ///< "mamba", "falcon_mamba", "caduceus"

/// What a model is, whatever the dialect of its config.json. Extents come from the tensors; the config only adds what
/// tensors cannot tell (epsilon, residual order, ties, labels) and is checked against them.
struct ModelConfig {
    Architecture architecture = Architecture::mamba;
    index_t d_model = 0;
    index_t n_layer = 0;
    index_t vocab_size = 0; ///< rows of the embedding, padding included; 0 for a model that reads frames
    index_t d_inner = 0;
    index_t d_state = 0;
    index_t d_conv = 0;
    index_t dt_rank = 0;
    bool bias = false;     ///< in_proj and out_proj carry a bias
    bool conv_bias = true; ///< conv1d carries a bias

    NormKind norm = NormKind::rms_norm;
    float norm_epsilon = 1e-5F;
    std::optional<float> mixer_rms_epsilon; ///< Falcon-Mamba: weightless RMS norm on dt, B and C

    bool bidirectional = false;   ///< Caduceus
    bool rcps = false;            ///< Caduceus-PS: two strands share every parameter
    bool fused_add_norm = true;   ///< Caduceus-PS: the published fused path swaps the strands in each block
    bool tied_projections = true; ///< in_proj and out_proj of the reverse mixers are the forward ones
    BidirectionalStrategy strategy = BidirectionalStrategy::add;
    std::vector<std::int32_t> complement_map; ///< [vocab_size] for rcps, else may be empty

    HeadKind head = HeadKind::none;
    bool tied_head = false;          ///< the language-model head is the embedding
    std::vector<std::string> labels; ///< id2label in order, for a classifier
    bool regression = false;         ///< the one output of a classifier's head is a number, not a class
    index_t frame_length = 0;        ///< > 0: input is frames of this many samples, not tokens
    index_t n_bands = 0;             ///< > 0: a frame is read by so many pairs of filters (band_power.h), not as it is

    index_t strands() const noexcept { return rcps ? 2 : 1; }
    /// What frame_embedding reads of a frame: its bands, or its samples.
    index_t frame_inputs() const noexcept { return n_bands > 0 ? n_bands : frame_length; }
    /// Numbers that a frame is on its way to the residual stream: its samples, what the filters give, the powers.
    index_t frame_floats() const noexcept { return frame_length + 3 * n_bands; }
};

/// Reads `config.json` of a model directory in any of the known dialects (original state-spaces, Hugging Face Mamba and
/// Falcon-Mamba, Caduceus) and takes the extents from `store`. `d_model` and friends that disagree are an error naming
/// both values, but for the known habits of published files: padded vocabularies, `intermediate_size` against `expand`,
/// legacy duplicates. Throws malformed_checkpoint, unsupported (an architecture that is not one of these), not_found.
ModelConfig read_model_config(std::filesystem::path const& directory, TensorStore const& store);

} // namespace strandwave
