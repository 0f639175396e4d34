#include "kernels/cuda/partial_sums.cuh"

namespace strandwave {
namespace {

constexpr int kColumns = 32; ///< of a thread block
constexpr int kRows = 32;    ///< that are read at once

__global__ void __launch_bounds__(kColumns* kRows)
    add_columns(float const* partials, index_t rows, index_t cols, float* first, index_t first_cols, float* second) {
    __shared__ float sums[kRows][kColumns];
    index_t const col = static_cast<index_t>(blockIdx.x) * kColumns + threadIdx.x;
    float sum = 0.0F;
    if (col < cols) {
#pragma unroll 8
        for (index_t row = threadIdx.y; row < rows; row += kRows) {
            sum += partials[row * cols + col];
        }
    }
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    float* const to = col < first_cols ? first : second;
    if (threadIdx.y > 0 || col >= cols || to == nullptr) { return; }
    for (int y = 1; y < kRows; ++y) {
        sum += sums[y][threadIdx.x];
    }
    to[col < first_cols ? col : col - first_cols] += sum;
}

} // namespace

void add_partial_sums(float const* partials, index_t rows, index_t cols, float* first, index_t first_cols,
                      float* second, GpuStream stream) {
    auto const blocks = static_cast<unsigned>((cols + kColumns - 1) / kColumns);
    add_columns<<<blocks, dim3(kColumns, kRows), 0, stream>>>(partials, rows, cols, first, first_cols, second);
    check_launch("partial sums");
}

} // namespace strandwave
