#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/norm/norm_backward.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of norm_backward.h on the GPU, asynchronous on a stream. x, dy and dx are f32 or bf16 each; all sums
/// are fp32, in an order that only the shapes decide.
struct NormBackwardCudaArgs {
    DeviceMatrix x, dy, dx;
    float const* weight = nullptr; ///< [d]; null = ones
    float epsilon = 1e-5F;
    bool centred = false;     ///< layer norm
    bool accumulate = false;  ///< dx +=
    float* dweight = nullptr; ///< [d] +=; null = not wanted
    float* dbias = nullptr;   ///< [d] +=; null = not wanted
    float* scratch = nullptr; ///< of norm_backward_scratch_floats(); may be null if neither of the two is wanted
};

index_t norm_backward_scratch_floats(index_t rows, index_t d);

void norm_backward_cuda(NormBackwardCudaArgs const& args, GpuStream stream);

} // namespace strandwave
