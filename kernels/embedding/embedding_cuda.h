#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

#include <cstdint>

namespace strandwave {

/// y[t,:] = table[tokens[t],:], asynchronous on a stream. table is fp32 `[vocab, d]`, y `[T, d]` f32 or bf16, tokens
/// lie in device memory and are within the vocabulary (the caller has checked them).
void embedding_cuda(float const* table, std::int32_t const* tokens, DeviceMatrix y, GpuStream stream);

} // namespace strandwave
