#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/pooling/pooling.h"
#include "lib/cuda/stream.h"

#include <cstdint>

namespace strandwave {

/// A run of packed rows of one record to be pooled.
struct PoolSegment {
    index_t begin = 0;
    index_t length = 0;    ///< rows
    index_t seen = 0;      ///< rows of the record before it; 0: what is in the slot does not matter
    std::int32_t slot = 0; ///< of the running state
};

/// Rows of a partial sum.
inline constexpr index_t kPoolRows = 64;

/// pool_accumulate of pooling.h for many records at once on the GPU, asynchronous on a stream.
/// x `[T, d]` f32 or bf16; `state` `[slots][d]` double. Sums are fp32 over kPoolRows rows counted from a segment's
/// start, then double in order: the same bits in any company, and for cuts at multiples of kPoolRows. `partial` is
/// scratch of pool_partial_floats(). Segments lie in device memory, in order of rows.
void pool_cuda(Pooling pooling, DeviceMatrix x, PoolSegment const* segments, index_t count, double* state,
               float* partial, GpuStream stream);

/// Enough scratch for any segments of so many rows in all.
inline index_t pool_partial_floats(index_t rows, index_t segments, index_t d) {
    return (rows / kPoolRows + segments) * d;
}

} // namespace strandwave
