#pragma once

#include "lib/model/config.h"

#include <cstdint>
#include <filesystem>

namespace strandwave {

/// Writes a model directory with fresh parameters, as the published code draws them (state-spaces/mamba and Caduceus
/// `_init_weights`, transformers `MambaPreTrainedModel._init_weights`): a copy of the config, and `model.safetensors`
/// in fp32 with the tensors that published files hold (tied ones once). The config is one of any dialect that
/// `read_model_config` takes; d_model, n_layer and vocab_size must be stated. Additions of ours: with
/// `"frame_length": N` the model reads frames of N samples through a linear layer `frame_embedding` in place of the
/// token embedding, with `"n_bands": K` through K pairs of filters and that layer (FrameEmbedding); a class
/// `*ForSequenceClassification` in `architectures` gets `score.weight` for the labels of `id2label` (or `num_labels`,
/// or 2). The same seed and config give the same numbers everywhere, up to the rounding of the C library's log, exp and
/// cos. An `out_directory` that exists is refused (already_exists) unless `force`; then its config.json and
/// model.safetensors are replaced, each whole. Throws also malformed_checkpoint, unsupported, too_large (more than the
/// machine's memory), io.
void initialise_model(std::filesystem::path const& config_json, std::uint64_t seed,
                      std::filesystem::path const& out_directory, bool force = false);

/// What `initialise_model` would make of a config: extents that it states, and the class defaults for the rest.
ModelConfig fresh_model_config(std::filesystem::path const& config_json);

} // namespace strandwave
