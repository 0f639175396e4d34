#pragma once

#include "kernels/linear/linear.h"
#include "lib/mixers/mamba_weights.h"
#include "lib/model/config.h"
#include "lib/model/tensor_names.h"

namespace strandwave {

/// What makes frames of sound vectors, as a checkpoint has it. All empty for a model that reads tokens.
struct FrameWeights {
    HostMatrix filters; ///< [2 n_bands, frame_length]; empty: frames are read as they are
    HostMatrix weight;  ///< [d_model, n_bands or frame_length]
    HostMatrix bias;    ///< [d_model]

    explicit FrameWeights(ModelTensors const& tensors);
};

/// x = weight frame + bias, or, with filters, weight band_power(filters frame) + bias (band_power.h). In fp32. The bits
/// of a row depend on how many rows there are, as those of a Linear.
class FrameEmbedding {
public:
    FrameEmbedding() = default;
    explicit FrameEmbedding(FrameWeights const& weights);

    /// `scratch` holds the frames, x.rows of them, in front; behind them it has room for what the filters give:
    /// ModelConfig::frame_floats a row in all.
    void apply(Buffer<float>& scratch, View<float, 2> x) const;

private:
    Linear filters_, linear_;
};

/// What band_power scales with.
inline float power_scale(index_t frame_length) { return 1.0F / static_cast<float>(frame_length); }

} // namespace strandwave
