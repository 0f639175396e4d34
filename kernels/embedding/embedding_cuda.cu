#include "kernels/embedding/embedding_cuda.h"

#include "kernels/cuda/element.cuh"

namespace strandwave {
namespace {

constexpr int kRows = 4; ///< of a thread, whose loads are under way at once

template <class Y, int V>
__global__ void __launch_bounds__(kThreads)
    embed(float const* table, std::int32_t const* tokens, DeviceMatrix const y) {
    index_t const channel = group_index() * V;
    if (channel >= y.cols) { return; }
    index_t const first = static_cast<index_t>(blockIdx.x) * blockDim.y * kRows + threadIdx.y;
    float values[kRows][V];
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
        index_t const row = first + i * blockDim.y;
        if (row < y.rows) { load(table + tokens[row] * y.cols + channel, values[i]); }
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
        index_t const row = first + i * blockDim.y;
        if (row < y.rows) { store(values[i], static_cast<Y*>(y.data) + row * y.row_stride + channel); }
    }
}

template <class Y, int V>
void launch(float const* table, std::int32_t const* tokens, DeviceMatrix y, GpuStream stream) {
    ChannelGrid const g((y.rows + kRows - 1) / kRows, y.cols / V);
    embed<Y, V><<<g.grid, g.threads, 0, stream>>>(table, tokens, y);
    check_launch("embedding");
}

} // namespace

void embedding_cuda(float const* table, std::int32_t const* tokens, DeviceMatrix y, GpuStream stream) {
    if (y.empty()) { return; }
    bool const quads = in_quads(y) && in_quads(table);
    with_element("embedding", y.dtype, [&](auto zero) {
        using Y = decltype(zero);
        quads ? launch<Y, kQuad>(table, tokens, y, stream) : launch<Y, 1>(table, tokens, y, stream);
    });
}

} // namespace strandwave
