#pragma once

#include "kernels/causal_conv1d/causal_conv1d_backward.h"
#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/row_blocks.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of causal_conv1d_backward.h on the GPU, asynchronous on a stream, with what causal_conv1d_cuda.h says
/// of types, slots and blocks. x, dy and dx are f32 or bf16, sums and parameter gradients fp32, in a fixed order.
struct CausalConv1dBackwardCudaArgs {
    DeviceMatrix x, dy, dx;           ///< [T, channels]
    float const* weight = nullptr;    ///< [W, channels], tap-major
    float const* bias = nullptr;      ///< [channels]; null = none
    index_t d_conv = 0;               ///< W
    RowBlock const* blocks = nullptr; ///< device memory; as in the forward pass
    index_t block_count = 0;
    float const* initial = nullptr; ///< [slots][W - 1, channels], by RowBlock::initial; null: zeros
    float const* d_final = nullptr; ///< [slots][W - 1, channels], by RowBlock::final; null: zeros
    float* d_initial = nullptr;     ///< [slots][W - 1, channels], by RowBlock::initial; null: not wanted
    bool accumulate = false;        ///< dx +=
    float* dweight = nullptr;       ///< [W, channels] +=
    float* dbias = nullptr;         ///< [channels] +=; null = not wanted
    float* scratch = nullptr;       ///< of causal_conv1d_backward_scratch_floats()
};

index_t causal_conv1d_backward_scratch_floats(index_t rows, index_t blocks, index_t channels, index_t d_conv);

void causal_conv1d_backward_cuda(CausalConv1dBackwardCudaArgs const& args, GpuStream stream);

} // namespace strandwave
