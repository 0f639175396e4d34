#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The ops of band_power.h on the GPU, asynchronous on a stream, in fp32 (the logarithm is right to two units in the
/// last place). All matrices are f32; throws unsupported for others.
void band_power_cuda(DeviceMatrix x, float scale, DeviceMatrix y, GpuStream stream);
void band_power_backward_cuda(DeviceMatrix x, float scale, DeviceMatrix dy, DeviceMatrix dx, GpuStream stream);

} // namespace strandwave
