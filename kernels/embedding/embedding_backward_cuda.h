#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/embedding/embedding_backward.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of embedding_backward.h on the GPU, asynchronous on a stream. dtable is fp32 `[vocab, d]`, tight; dy
/// `[T, d]` f32 or bf16; tokens lie in device memory and are within the vocabulary (the caller has checked them).
/// Precision: up to 64 tokens in fp32, in a fixed order. More in 64-bit fixed point, whose step is 2^-60 of T times the
/// largest |dy| or less, rounded to fp32 once; where any dy is not finite, the rows of all tokens that occur become
/// NaN. Determinism: the same bits every run; integers can be added in any order.
void embedding_backward_cuda(std::int32_t const* tokens, DeviceMatrix dy, index_t vocab, float* dtable, void* scratch,
                             GpuStream stream);

/// Of `scratch`, which is aligned to 8 bytes; for up to so many rows.
index_t embedding_backward_scratch_bytes(index_t rows, index_t vocab, index_t d);

} // namespace strandwave
