#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/norm/norm.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of norm.h on the GPU, asynchronous on a stream. x and y are f32 or bf16 each; the sums over a row are
/// fp32, in a fixed order. y may be x.
struct NormCudaArgs {
    DeviceMatrix x, y;
    float const* weight = nullptr; ///< [d]; null = ones
    float const* bias = nullptr;   ///< [d]; null = zeros
    float epsilon = 1e-5F;
    bool centred = false; ///< layer norm
};

void norm_cuda(NormCudaArgs const& args, GpuStream stream);

} // namespace strandwave
