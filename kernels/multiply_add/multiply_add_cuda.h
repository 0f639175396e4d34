#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// y += a * b, element by element, asynchronous on a stream: what a bidirectional block adds to the residual stream
/// when its directions are multiplied. a, b and y are fp32, of one shape and tight. Throws shape_mismatch.
void multiply_add_cuda(DeviceMatrix a, DeviceMatrix b, DeviceMatrix y, GpuStream stream);

} // namespace strandwave
