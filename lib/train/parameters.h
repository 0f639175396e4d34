#pragma once

#include "lib/model/config.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

class TensorStore;
struct StoredTensor;

/// One learned tensor: its place in the vector of all parameters, and how it lies there.
struct Parameter {
    std::string name;           ///< in checkpoints
    std::vector<index_t> shape; ///< in checkpoints
    index_t rows = 0;           ///< as it lies here; vectors have one row
    index_t cols = 0;
    index_t offset = 0; ///< floats; a multiple of kParameterBlock
    index_t layer = 0;  ///< 0: embedding; 1 .. n_layer: blocks; n_layer + 1: final norm and head
    bool decay = false; ///< AdamW's weight decay: matrices have it; A_log, D, biases and norms do not

    /// From a checkpoint's order to ours: transposed (channels last), then rows, then columns in reverse order.
    bool transposed = false;
    bool flip_rows = false;
    bool flip_cols = false;
};

/// Index into ModelParameters::tensors; kNone where the model has no such tensor.
using ParameterId = index_t;
inline constexpr ParameterId kNone = -1;

/// One direction of a Mamba-1 block, without its projections.
struct MixerParameters {
    ParameterId conv_weight = kNone; ///< [d_conv, d_inner]
    ParameterId conv_bias = kNone;   ///< [d_inner]
    ParameterId x_proj = kNone;      ///< [dt_rank + 2 d_state, d_inner]
    ParameterId dt_proj = kNone;     ///< [d_inner, dt_rank]
    ParameterId dt_bias = kNone;     ///< [d_inner]
    ParameterId A_log = kNone;       ///< [d_inner, d_state]
    ParameterId D = kNone;           ///< [d_inner]
    bool reverse = false;            ///< time runs from a record's last row to its first
};

/// Projections and the directions that run between them: both of a bidirectional block with tied projections, else one.
struct BranchParameters {
    ParameterId in_proj = kNone;  ///< [2 d_inner, d_model]
    ParameterId in_bias = kNone;  ///< [2 d_inner]
    ParameterId out_proj = kNone; ///< [d_model, d_inner]
    ParameterId out_bias = kNone; ///< [d_model]; owed once by each direction
    std::vector<MixerParameters> mixers;
};

struct LayerParameters {
    ParameterId norm_weight = kNone;
    ParameterId norm_bias = kNone;
    std::vector<BranchParameters> branches; ///< their outputs are added to the residual stream
};

/// Which learned numbers a model has and where each lies in one vector of floats, every tensor at a multiple of
/// kParameterBlock with zeros between. An RC-equivariant model's mirrored blocks (Model::Parts::mirrored) lie mirrored:
/// training is the same in either order, and `write` turns them back.
struct ModelParameters {
    ModelConfig config;
    std::vector<Parameter> tensors;
    index_t size = 0; ///< floats, padding included

    ParameterId embedding = kNone;    ///< [vocab_size, d_model]
    ParameterId filter_bank = kNone;  ///< [2 n_bands, frame_length]
    ParameterId frame_weight = kNone; ///< [d_model, n_bands or frame_length]
    ParameterId frame_bias = kNone;   ///< [d_model]
    std::vector<LayerParameters> layers;
    ParameterId final_norm_weight = kNone;
    ParameterId final_norm_bias = kNone;
    ParameterId head_weight = kNone; ///< `embedding` if tied
    ParameterId head_bias = kNone;

    Parameter const& operator[](ParameterId id) const { return tensors[static_cast<std::size_t>(id)]; }
    index_t count() const; ///< learned numbers
};

/// Finds the learned tensors of a checkpoint. Throws what find_model_tensors throws; unsupported for what cannot be
/// trained: directions that are multiplied, a tied head of an RC-equivariant model with an odd number of layers (the
/// two uses of the tensor are mirror images of each other).
ModelParameters find_parameters(ModelConfig const& config, TensorStore const& store);

/// The vector of parameters `[size]` as a checkpoint has it.
std::vector<float> read_parameters(ModelParameters const& parameters, TensorStore const& store);

/// Writes `model.safetensors` in fp32: the parameters under the names that `store` has them under, and what `store` has
/// beside them (complement maps) as it is. Whole or not at all. Throws io.
void write_parameters(ModelParameters const& parameters, std::span<float const> values, TensorStore const& store,
                      std::filesystem::path const& path);

/// A byte for each kParameterBlock parameters, as AdamW takes them: bit 0 trainable, bit 1 weight decay. Layers below
/// `first_layer` (Parameter::layer) stay as they are.
std::vector<std::uint8_t> parameter_flags(ModelParameters const& parameters, index_t first_layer);

} // namespace strandwave
