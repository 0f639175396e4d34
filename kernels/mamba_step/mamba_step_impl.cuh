// What stands behind MambaStepWeights.
#pragma once

#include "kernels/mamba_step/mamba_step_cuda.h"
#include "kernels/mamba_step/mamba_step_layout.cuh"

namespace strandwave {
namespace step {

/// A kernel of mamba_step_cuda.cu that runs on the current GPU; null if there is none.
struct Plan {
    void const* kernel = nullptr;
    Layout layout;
    SharedLayout shared;
    bool prefetch = false; ///< the weights are too many to stay in the L2 cache from token to token
};

/// Sets the kernel's attributes too.
Plan plan_step(MambaStepShape const& shape);

/// Fills `to`, layout.bytes(), on the default stream.
void pack_layer(Layout const& layout, DType dtype, MambaStepLayer const& layer, int number, void* to);

} // namespace step

struct MambaStepWeights::Impl {
    MambaStepShape shape;
    step::Plan plan;
    float epsilon = 0.0F;
    DeviceMemory weights;
    DeviceArray<float> norms; ///< [n_layer + 1][blocks * rows], zeros behind d_model; the last is the final one
};

} // namespace strandwave
