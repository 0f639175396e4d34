#pragma once

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/view.h"
#include "lib/model/config.h"

#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// The tensors of one Mamba-1 mixer, shapes as torch stores them (out, in). Never null unless marked.
struct MixerTensors {
    StoredTensor const* in_proj_weight = nullptr;  ///< [2 * d_inner, d_model]: rows of x, then of z
    StoredTensor const* in_proj_bias = nullptr;    ///< [2 * d_inner]; null unless ModelConfig::bias
    StoredTensor const* conv1d_weight = nullptr;   ///< [d_inner, 1, d_conv]; the last tap is the current token
    StoredTensor const* conv1d_bias = nullptr;     ///< [d_inner]; null unless ModelConfig::conv_bias
    StoredTensor const* x_proj_weight = nullptr;   ///< [dt_rank + 2 * d_state, d_inner]: rows of dt, B, C
    StoredTensor const* dt_proj_weight = nullptr;  ///< [d_inner, dt_rank]
    StoredTensor const* dt_proj_bias = nullptr;    ///< [d_inner], added inside the softplus
    StoredTensor const* A_log = nullptr;           ///< [d_inner, d_state]
    StoredTensor const* D = nullptr;               ///< [d_inner]
    StoredTensor const* out_proj_weight = nullptr; ///< [d_model, d_inner]
    StoredTensor const* out_proj_bias = nullptr;   ///< [d_model]; null unless ModelConfig::bias
};

struct LayerTensors {
    StoredTensor const* norm_weight = nullptr; ///< [d_model]
    StoredTensor const* norm_bias = nullptr;   ///< [d_model]; null unless NormKind::layer_norm
    MixerTensors forward;
    std::optional<MixerTensors> reverse; ///< of a bidirectional model; tied projections are those of `forward`
};

/// Every tensor of a model, found in its store whatever the names of its dialect; pointers live as long as the store.
/// Tensors that are tied point to the same StoredTensor, or to two with the same `bytes.data()` (aliases in a pickle).
struct ModelTensors {
    StoredTensor const* embedding_weight = nullptr;       ///< [vocab_size, d_model]; null for a model that reads frames
    StoredTensor const* filter_bank = nullptr;            ///< [2 n_bands, frame_length]; null for a model without bands
    StoredTensor const* frame_embedding_weight = nullptr; ///< [d_model, frame_inputs]; null for a model of tokens
    StoredTensor const* frame_embedding_bias = nullptr;   ///< [d_model]; null for a model of tokens
    std::vector<LayerTensors> layers;
    StoredTensor const* final_norm_weight = nullptr; ///< [d_model]
    StoredTensor const* final_norm_bias = nullptr;   ///< [d_model]; null unless NormKind::layer_norm
    StoredTensor const* head_weight = nullptr; ///< [vocab_size, d_model] (the embedding if tied) or [labels, d_model];
                                               ///< null for HeadKind::none
    StoredTensor const* head_bias = nullptr;   ///< [labels] of a classifier that has one (ours do); else null
    std::vector<std::string> extra;            ///< tensors of the store that belong to no part of the model
};

/// Finds all tensors of `config` in `store` and checks shape and type of each. Throws malformed_checkpoint naming every
/// missing tensor, every tensor of a wrong shape, every tensor that nobody asked for (unless `ignore_extra`: then they
/// are only listed), and tied tensors whose copies differ.
ModelTensors find_model_tensors(ModelConfig const& config, TensorStore const& store, bool ignore_extra = false);

} // namespace strandwave
