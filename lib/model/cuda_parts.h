#pragma once

#include "kernels/mamba_step/mamba_step_cuda.h"
#include "lib/mixers/cuda_mamba_mixer.h"
#include "lib/model/model_parts.h"

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace strandwave {

/// Norm in device memory.
struct CudaNorm {
    DeviceArray<float> weight;
    DeviceArray<float> bias; ///< empty for RMS norm
    NormKind kind = NormKind::rms_norm;
    float epsilon = 1e-5F;

    CudaNorm() = default;
    explicit CudaNorm(Norm const& norm);
    void apply(DeviceMatrix x, DeviceMatrix y, GpuStream stream) const;
};

/// FrameEmbedding in device memory, the Linears with a type of result f32.
class CudaFrameEmbedding {
public:
    CudaFrameEmbedding() = default;
    explicit CudaFrameEmbedding(FrameWeights const& weights);
    /// frames `[rows, frame_length]`; pairs `[rows, 2 n_bands]` and powers `[rows, n_bands]` are scratch, empty without
    /// filters. All f32.
    void apply(DeviceMatrix frames, DeviceMatrix pairs, DeviceMatrix powers, DeviceMatrix x, GpuStream stream) const;

private:
    LinearCuda filters_, linear_;
};

/// ModelLayer in device memory.
struct CudaLayer {
    struct Direction {
        CudaMambaMixer mixer;
        bool reverse;
    };
    CudaNorm norm;
    std::vector<Direction> directions;
    bool shared_projections = true;
};

/// The parts of a model that its layers run with, in the memory of one GPU. Immutable.
struct CudaParts {
    DeviceArray<float> embedding;       ///< [vocab_size, d_model]; empty for frames
    CudaFrameEmbedding frame_embedding; ///< empty for tokens
    std::vector<CudaLayer> layers;
    CudaNorm final_norm;

    /// The same for one row at a time (mamba_step_cuda.h), in the memory of the current GPU: made when it is first
    /// asked for, since most runs never do. Null if the model or the GPU does not suit, or has not the memory.
    MambaStepWeights const* step_weights(ModelConfig const& config, DType dtype) const;

private:
    mutable std::once_flag step_weights_once_;
    mutable std::optional<MambaStepWeights> step_weights_;
};

CudaLayer upload_layer(ModelConfig const& config, LayerWeights const& weights, DType dtype);

} // namespace strandwave
