#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/row_blocks.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of causal_conv1d.h on the GPU, asynchronous on a stream. x and y are f32 or bf16, sums fp32.
/// y may not overlap x. The direction of time is the blocks'.
struct CausalConv1dCudaArgs {
    DeviceMatrix x, y;                ///< [T, channels]
    float const* weight = nullptr;    ///< [W, channels], tap-major
    float const* bias = nullptr;      ///< [channels]; null = none
    index_t d_conv = 0;               ///< W
    RowBlock const* blocks = nullptr; ///< device memory
    index_t block_count = 0;
    float* state = nullptr; ///< [slots][W - 1, channels]; may be null if no block has a slot
};

void causal_conv1d_cuda(CausalConv1dCudaArgs const& args, GpuStream stream);

} // namespace strandwave
