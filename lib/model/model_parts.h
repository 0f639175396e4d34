#pragma once

#include "kernels/linear/linear.h"
#include "lib/core/buffer.h"
#include "lib/mixers/mamba_mixer.h"
#include "lib/model/frame_embedding.h"
#include "lib/model/model.h"

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace strandwave {

/// Weight and bias of a norm, applied as the config says.
struct Norm {
    Buffer<float> weight;
    Buffer<float> bias; ///< empty for RMS norm
    NormKind kind = NormKind::rms_norm;
    float epsilon = 1e-5F;

    void apply(View<float const, 2> x, View<float, 2> y) const;
};

/// The numbers of one block, as read from a checkpoint and brought into the form that both back ends take.
struct LayerWeights {
    struct Direction {
        MambaWeights mixer;
        std::optional<ProjectionWeights> projections; ///< empty: those of the direction before
        bool reverse;
    };
    Norm norm;
    std::vector<Direction> directions; ///< one, or two for a bidirectional model
    bool shared_projections = true;    ///< of the two directions: in runs once, and out on their sum
};

/// One block: x += sum of directions of mixer(norm(x)).
struct ModelLayer {
    struct Direction {
        MambaMixer mixer;
        bool reverse;
    };
    Norm norm;
    std::vector<Direction> directions; ///< one, or two for a bidirectional model
    bool shared_projections = true;    ///< of the two directions: in runs once, and out on their sum
};

struct CudaParts; ///< lib/model/cuda_parts.h

/// What a Model is made of. Immutable but for the language-model head, which is packed at its first use: it can be
/// the largest matrix of a model, and most runs never read it.
struct Model::Parts {
    ModelConfig config;
    DType dtype = DType::f32;
    Device device;
    index_t parameters = 0;
    Buffer<float> embedding;        ///< [vocab_size, d_model]; empty for frames
    FrameEmbedding frame_embedding; ///< empty for tokens
    std::vector<ModelLayer> layers; ///< empty for a model on a GPU
    Norm final_norm;
    Buffer<float> head_weight; ///< [vocab_size or labels, d_model]; empty if tied or without head
    Buffer<float> head_bias;   ///< [labels] or empty

    std::shared_ptr<CudaParts const> cuda; ///< what the layers run with on a GPU; null on the processor

    mutable std::once_flag language_model_once;
    mutable std::optional<Linear> language_model; ///< [hidden_width] -> [vocab_size]

    /// The strands of an RC-equivariant model with the published fused residual order change places before every block
    /// (RCPSMambaBlock.forward of kuleshov-group/caduceus), which equals reading each strand on its own with every
    /// second block mirrored: time backwards and channels in reverse order. Our strands stand as the published output
    /// does; true if the published stream behind `layer` blocks is the mirror image of ours. Block i is then loaded
    /// mirrored if its output is: mirrored(i + 1).
    bool mirrored(index_t layer) const noexcept {
        return config.rcps && config.fused_add_norm && (config.n_layer - layer) % 2 != 0;
    }
};

/// Loads every part; the store may be closed afterwards.
std::unique_ptr<Model::Parts const> load_parts(ModelConfig const& config, TensorStore& store,
                                               LoadOptions const& options);

} // namespace strandwave
