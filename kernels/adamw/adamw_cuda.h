#pragma once

#include "kernels/adamw/adamw.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of adamw.h on the GPU, asynchronous on a stream, bit for bit: all pointers, that of the step too, are
/// device memory; vectors begin at multiples of 16 bytes.
void adamw_cuda(AdamWArgs const& args, GpuStream stream);

/// Doubles of scratch that squared_norm_cuda needs, whatever the count.
index_t squared_norm_scratch_doubles();

/// squared_norm of adamw.h; `out` and `scratch` are device memory. Summed in another order than on the CPU.
void squared_norm_cuda(float const* gradients, std::uint8_t const* flags, index_t count, double* out, double* scratch,
                       GpuStream stream);

} // namespace strandwave
