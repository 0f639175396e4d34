#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <string>

namespace strandwave {

class TensorStore;

/// How a checkpoint names its tensors. Published files differ in a few prefixes only; the names below them are those of
/// the published Mamba-1 everywhere.
struct TensorLayout {
    enum class Wrapping : std::uint8_t {
        plain,      ///< Mamba: `mixer.`
        directions, ///< Caduceus-PH: `mixer.mamba_fwd.`, `mixer.mamba_rev.`
        strands,    ///< Caduceus-PS: `mixer.submodule.mamba_fwd.`, ...
    };

    std::string backbone; ///< "caduceus.backbone.", "backbone." or "" (a backbone saved without its head)
    Wrapping wrapping = Wrapping::plain;
    bool wrapped_norm = false;      ///< Caduceus-PS, un-fused: `norm.submodule.`
    bool plural_embeddings = false; ///< Hugging Face: `embeddings.weight`, where the original has `embedding.weight`

    std::string embedding() const;                                                ///< full name of the token embedding
    std::string frame_embedding() const { return backbone + "frame_embedding."; } ///< + "weight" or "bias"
    std::string filter_bank() const { return backbone + "filter_bank.weight"; }
    std::string layer(index_t i) const { return backbone + "layers." + std::to_string(i) + "."; }
    std::string norm(index_t i) const { return layer(i) + (wrapped_norm ? "norm.submodule." : "norm."); }
    std::string forward_mixer(index_t i) const;
    std::string reverse_mixer(index_t i) const;
    std::string final_norm() const { return backbone + (wrapped_norm ? "norm_f.submodule." : "norm_f."); }
    std::string head() const; ///< full name of the language-model head
    std::string embedding_complement_map() const { return backbone + "embeddings.word_embeddings.complement_map"; }
    static std::string head_complement_map() { return "lm_head.complement_map"; }
    static std::string classifier() { return "score.weight"; }
    static std::string classifier_bias() { return "score.bias"; } ///< ours: published heads have none
};

/// Finds out from the names alone. Throws malformed_checkpoint when no mixer of a known name is there.
TensorLayout detect_layout(TensorStore const& store);

/// Layers 0, 1, .. that have a tensor each, without a gap.
index_t count_layers(TensorLayout const& layout, TensorStore const& store);

} // namespace strandwave
