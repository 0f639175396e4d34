#pragma once

#include "lib/core/buffer.h"
#include "lib/model/config.h"
#include "lib/model/tensor_names.h"

namespace strandwave {

/// A stored tensor as fp32 in host memory, its shape folded to two dimensions [first, rest]. Empty where the model has
/// no such tensor.
struct HostMatrix {
    HostMatrix() = default;
    explicit HostMatrix(StoredTensor const* tensor);

    View<float const, 2> view() const { return values.view(rows, cols); }
    View<float const, 1> vector() const { return values.view(); }

    index_t rows = 0;
    index_t cols = 0;
    Buffer<float> values;
};

/// In- and out-projection of a mixer as numbers, ready for a back end to pack or upload.
struct ProjectionWeights {
    HostMatrix in;       ///< [2 * d_inner, d_model]
    HostMatrix in_bias;  ///< [2 * d_inner] or empty
    HostMatrix out;      ///< [d_model, d_inner]
    HostMatrix out_bias; ///< [d_model] or empty

    /// `flip_channels`: for a stream whose d_model channels stand in reverse order. `sharers`: how many directions run
    /// through `out` at once, as a sum: each of them owes its bias.
    ProjectionWeights(MixerTensors const& tensors, bool flip_channels, int sharers);
};

/// What one direction of a Mamba-1 block has between its projections.
struct MambaWeights {
    Buffer<float> conv_weight; ///< [d_conv, d_inner], tap-major
    HostMatrix conv_bias;      ///< [d_inner] or empty
    HostMatrix x_proj;         ///< [dt_rank + 2 d_state, d_inner]
    HostMatrix dt_proj;        ///< [d_inner, dt_rank]
    HostMatrix dt_bias;        ///< [d_inner]
    Buffer<float> A;           ///< [d_state, d_inner], -exp(A_log)
    HostMatrix D;              ///< [d_inner]

    explicit MambaWeights(MixerTensors const& tensors);
};

} // namespace strandwave
