#pragma once

#include "lib/core/view.h"
#include "lib/model/config.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

enum class Dialect : std::uint8_t { state_spaces, hugging_face, caduceus };

/// An extent as config.json states it, with the key that states it.
struct DeclaredExtent {
    std::string key;
    std::optional<index_t> value;
};

/// How fresh parameters are drawn (`initialise_model`); the class defaults of the published code.
struct DeclaredInitialisation {
    double dt_min = 0.001;
    double dt_max = 0.1;
    double dt_floor = 1e-4;
    double dt_scale = 1.0;
    bool dt_constant = false; ///< dt_proj.weight: one constant in place of a uniform draw
    double range = 0.02;      ///< standard deviation of normal draws
    bool rescale_residual = true;
    index_t residuals_per_layer = 1;
};

/// What config.json says, in one vocabulary for all dialects; nothing in it is checked against tensors yet.
struct DeclaredConfig {
    std::string path;
    Dialect dialect = Dialect::state_spaces;
    ModelConfig model; ///< all but extents, labels and head are final
    DeclaredExtent d_model, n_layer, vocab_size, intermediate_size, d_state, d_conv, dt_rank, frame_length, n_bands,
        num_labels;
    std::optional<double> expand;
    bool dt_rank_auto = false; ///< the word "auto": ceil(d_model / 16)
    index_t pad_vocab_size_multiple = 8;
    std::optional<bool> bias, conv_bias; ///< only if stated
    std::optional<HeadKind> head;        ///< of the class in `architectures`, if stated
    DeclaredInitialisation initialisation;

    /// What the stated values come to for a model of width `d_model`.
    std::optional<index_t> d_inner(index_t d_model) const;
    std::optional<index_t> rank(index_t d_model) const;
    index_t padded_vocab_size(index_t size) const;
};

/// Reads and interprets the file. Throws not_found, io, malformed_checkpoint (naming file and key), unsupported (a
/// model that this toolkit cannot compute, naming key and value).
DeclaredConfig read_declared_config(std::filesystem::path const& config_json);

} // namespace strandwave
