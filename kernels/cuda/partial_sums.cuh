// Sums over rows in a fixed order, for gradients of parameters: each thread adds up what its rows give, a thread block
// leaves one row of partial sums in scratch memory, and a second launch adds those.
#pragma once

#include "kernels/cuda/element.cuh"
#include "lib/cuda/stream.h"

namespace strandwave {

/// first[i] += the sum of column i of `partials` `[rows, cols]`, i < first_cols; what is behind goes to `second`.
/// Either may be null.
void add_partial_sums(float const* partials, index_t rows, index_t cols, float* first, index_t first_cols,
                      float* second, GpuStream stream);

/// The sums of `values` over the threads of equal threadIdx.x, in the order of threadIdx.y; right in those with
/// threadIdx.y = 0. All threads of the block have to call it; at most kThreads.
template <int V>
__device__ void sum_over_rows_of_threads(float (&values)[V]) {
    __shared__ Packed<float, V> shared[kThreads];
    unsigned const thread = threadIdx.y * blockDim.x + threadIdx.x;
    __syncthreads(); // a sum before this one has been read
    pack(values, shared[thread]);
    __syncthreads();
    if (threadIdx.y > 0) { return; }
    for (unsigned y = 1; y < blockDim.y; ++y) {
        float more[V];
        unpack(shared[y * blockDim.x + threadIdx.x], more);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            values[v] += more[v];
        }
    }
}

} // namespace strandwave
