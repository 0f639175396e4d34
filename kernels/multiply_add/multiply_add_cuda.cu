#include "kernels/multiply_add/multiply_add_cuda.h"
#include "lib/core/check.h"

#include <algorithm>

namespace strandwave {
namespace {

__global__ void multiply_add(float const* a, float const* b, float* y, index_t count) {
    index_t const step = static_cast<index_t>(gridDim.x) * blockDim.x;
    for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
        y[i] += a[i] * b[i];
    }
}

} // namespace

void multiply_add_cuda(DeviceMatrix a, DeviceMatrix b, DeviceMatrix y, GpuStream stream) {
    for (auto const* m : {&a, &b}) {
        check_extent("multiply_add", "rows of a factor", m->rows, y.rows);
        check_extent("multiply_add", "columns of a factor", m->cols, y.cols);
    }
    index_t const count = y.rows * y.cols;
    if (count == 0) { return; }
    constexpr index_t kThreads = 256;
    constexpr index_t kMostBlocks = 4096;
    auto const blocks = static_cast<unsigned int>(std::min(kMostBlocks, (count + kThreads - 1) / kThreads));
    multiply_add<<<blocks, kThreads, 0, stream>>>(a.as<float>(), b.as<float>(), y.as<float>(), count);
    check_launch("multiply_add");
}

} // namespace strandwave
