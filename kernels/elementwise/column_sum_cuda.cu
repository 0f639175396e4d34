#include "kernels/cuda/element.cuh"
#include "kernels/elementwise/elementwise_cuda.h"

#include <algorithm>

namespace strandwave {
namespace {

constexpr index_t kMostRuns = 1024;  ///< of rows that one thread sums
constexpr index_t kShortestRun = 32; ///< rows
constexpr int kBatchRows = 8;        ///< rows of a thread whose loads are under way at once

index_t run_rows(index_t rows) { return std::max(kShortestRun, (rows + kMostRuns - 1) / kMostRuns); }
index_t run_count(index_t rows) { return (rows + run_rows(rows) - 1) / run_rows(rows); }

/// A thread sums V columns of a run of rows.
template <class X, int V>
__global__ void __launch_bounds__(kThreads)
    sum_runs(DeviceMatrix const x, index_t length, index_t runs, float* partial) {
    index_t const col = group_index() * V;
    index_t const run = row_index();
    if (run >= runs || col >= x.cols) { return; }
    auto const rows = static_cast<int>(min(length, x.rows - run * length));
    X const* from = static_cast<X const*>(x.data) + run * length * x.row_stride + col;
    float sum[V] = {};
    for (int first = 0; first < rows; first += kBatchRows) {
        Packed<X, V> batch[kBatchRows];
#pragma unroll
        for (int i = 0; i < kBatchRows; ++i, from += x.row_stride) {
            if (first + i < rows) { batch[i] = load_packed<V>(from); }
        }
#pragma unroll
        for (int i = 0; i < kBatchRows; ++i) {
            if (first + i >= rows) { break; }
            float values[V];
            unpack(batch[i], values);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                sum[v] += values[v];
            }
        }
    }
    store(sum, partial + run * x.cols + col);
}

constexpr int kFoldCols = 32; ///< a warp
constexpr int kFolds = 8;     ///< warps; each sums every kFolds-th run

__global__ void __launch_bounds__(kFoldCols* kFolds)
    fold_runs(float const* partial, index_t runs, index_t cols, float* sums) {
    __shared__ double parts[kFolds][kFoldCols];
    index_t const col = static_cast<index_t>(blockIdx.x) * kFoldCols + threadIdx.x;
    double sum = 0;
#pragma unroll 8
    for (index_t run = threadIdx.y; run < runs; run += kFolds) {
        if (col < cols) { sum += static_cast<double>(partial[run * cols + col]); }
    }
    parts[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || col >= cols) { return; }
    for (int fold = 1; fold < kFolds; ++fold) {
        sum += parts[fold][threadIdx.x];
    }
    sums[col] += static_cast<float>(sum);
}

template <int V, class X>
void launch(DeviceMatrix x, float* scratch, GpuStream stream) {
    index_t const runs = run_count(x.rows);
    ChannelGrid const g(runs, x.cols / V);
    sum_runs<X, V><<<g.grid, g.threads, 0, stream>>>(x, run_rows(x.rows), runs, scratch);
    check_launch("column_sum");
}

} // namespace

index_t column_sum_scratch_floats(index_t rows, index_t cols) { return run_count(rows) * cols; }

void column_sum_cuda(DeviceMatrix x, float* sums, float* scratch, GpuStream stream) {
    if (x.empty()) { return; }
    with_element("column_sum", x.dtype, [&](auto zero) {
        using X = decltype(zero);
        if (in_quads(x) && in_quads(scratch)) { return launch<kQuad, X>(x, scratch, stream); }
        launch<1, X>(x, scratch, stream);
    });
    auto const blocks = static_cast<unsigned>((x.cols + kFoldCols - 1) / kFoldCols);
    fold_runs<<<blocks, dim3(kFoldCols, kFolds), 0, stream>>>(scratch, run_count(x.rows), x.cols, sums);
    check_launch("column_sum, sums");
}

} // namespace strandwave
