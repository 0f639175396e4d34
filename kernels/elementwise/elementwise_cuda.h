#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/elementwise/elementwise.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The ops of elementwise.h on the GPU, asynchronous on a stream. Each DeviceMatrix is f32 or bf16, unless said
/// otherwise; arithmetic is fp32, a result in bf16 is rounded once.

void add_cuda(DeviceMatrix x, DeviceMatrix y, GpuStream stream);       ///< y += x
void copy_cast_cuda(DeviceMatrix x, DeviceMatrix y, GpuStream stream); ///< y = x, changing the type

/// sums `[x.cols]` += ; summed in fp32 over runs of rows, the runs in double, both in a fixed order.
void column_sum_cuda(DeviceMatrix x, float* sums, float* scratch, GpuStream stream);
index_t column_sum_scratch_floats(index_t rows, index_t cols);

/// a_log, a, da and da_log are f32.
void negative_exp_cuda(DeviceMatrix a_log, DeviceMatrix a, GpuStream stream);
void negative_exp_backward_cuda(DeviceMatrix a, DeviceMatrix da, DeviceMatrix da_log, GpuStream stream);

struct DropoutCudaArgs {
    DeviceMatrix x, y;
    float probability = 0;
    std::uint64_t const* seed = nullptr; ///< device memory
    std::uint64_t site = 0;
    index_t first_row = 0;
};

void dropout_cuda(DropoutCudaArgs const& args, GpuStream stream);

} // namespace strandwave
