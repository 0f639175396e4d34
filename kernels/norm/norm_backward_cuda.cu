#include "kernels/norm/norm_backward_cuda.h"

#include "kernels/cuda/partial_sums.cuh"
#include "lib/core/check.h"

#include <algorithm>

namespace strandwave {
namespace {

constexpr int kWarp = 32;
constexpr int kMostQuads = 8; ///< of a lane: wider rows are read again for each pass

/// Thread blocks that a multiprocessor is to hold, by the quads of a lane: a thread has 16 numbers for each.
constexpr int resident(int quads) { return quads <= 2 ? 3 : quads <= 4 ? 2 : 1; }

/// One wave of thread blocks on a chip of 128 multiprocessors or more. It does not follow the actual number, so that
/// sums have the same order everywhere.
constexpr index_t most_blocks(int quads) { return 128 * resident(quads); }

/// The sum over a group of `Lanes` neighbouring lanes, in all of them.
template <int Lanes>
__device__ float group_sum(float value) {
#pragma unroll
    for (int distance = Lanes / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffU, value, distance);
    }
    return value;
}

/// What a row's gradient is made of: dx = factor * (g - shift - (x - mean) * along).
struct RowSums {
    float factor, shift, along;
    /// From the sums over a row of (x - mean)^2, of g, and of g * (x - mean).
    __device__ RowSums(NormBackwardCudaArgs const& a, float squares, float total, float product) {
        auto const d = static_cast<float>(a.x.cols);
        factor = 1.0F / sqrtf(squares / d + a.epsilon);
        shift = a.centred ? total / d : 0.0F;
        along = product / d * factor * factor;
    }
    __device__ float gradient(float g, float difference) const { return factor * fmaf(-difference, along, g - shift); }
};

/// A lane's elements of one row: channels kQuad (l + Lanes q) and the three behind each, q < Quads; zeros outside.
template <int Lanes, int Quads, class T>
__device__ void load_row(DeviceMatrix const& from, index_t row, bool wanted, Packed<T, kQuad> (&to)[Quads]) {
    T const* first = static_cast<T const*>(from.data) + row * from.row_stride + kQuad * threadIdx.x;
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        bool const inside = kQuad * (threadIdx.x + Lanes * q) < from.cols;
        to[q] = wanted && inside ? load_packed<kQuad>(first + kQuad * Lanes * q) : Packed<T, kQuad>{};
    }
}

template <int Quads>
struct ParameterSums {
    float weight[Quads][kQuad] = {};
    float bias[Quads][kQuad] = {};
};

/// One row for each group of lanes; `live`: there is such a row.
template <class X, class DY, class DX, int Lanes, int Quads>
__device__ void differentiate_row(NormBackwardCudaArgs const& a, index_t row, bool live, ParameterSums<Quads>& sums) {
    Packed<X, kQuad> x_packed[Quads];
    Packed<DY, kQuad> dy_packed[Quads];
    Packed<DX, kQuad> before[Quads];
    load_row<Lanes, Quads, X>(a.x, row, live, x_packed);
    load_row<Lanes, Quads, DY>(a.dy, row, live, dy_packed);
    load_row<Lanes, Quads, DX>(a.dx, row, live && a.accumulate, before);
    float x[Quads][kQuad];
    float sum = 0.0F;
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        unpack(x_packed[q], x[q]);
        sum += (x[q][0] + x[q][1]) + (x[q][2] + x[q][3]);
    }
    float const mean = a.centred ? group_sum<Lanes>(sum) / static_cast<float>(a.x.cols) : 0.0F;
    float dy[Quads][kQuad];
    float weight[Quads][kQuad];
    float squares = 0.0F;
    float total = 0.0F;
    float product = 0.0F;
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        index_t const channel = kQuad * (threadIdx.x + Lanes * q);
        unpack(dy_packed[q], dy[q]);
        unpack(float4{1.0F, 1.0F, 1.0F, 1.0F}, weight[q]);
        if (a.weight != nullptr && channel < a.x.cols) { load(a.weight + channel, weight[q]); }
#pragma unroll
        for (int v = 0; v < kQuad; ++v) {
            x[q][v] = channel < a.x.cols ? x[q][v] - mean : 0.0F;
            float const g = dy[q][v] * weight[q][v];
            squares = fmaf(x[q][v], x[q][v], squares);
            total += g;
            product = fmaf(g, x[q][v], product);
        }
    }
    RowSums const row_sums(a, group_sum<Lanes>(squares), group_sum<Lanes>(total), group_sum<Lanes>(product));
    if (!live) { return; }
    DX* const dx = static_cast<DX*>(a.dx.data) + row * a.dx.row_stride;
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        index_t const channel = kQuad * (threadIdx.x + Lanes * q);
        float result[kQuad];
        unpack(before[q], result);
#pragma unroll
        for (int v = 0; v < kQuad; ++v) {
            result[v] += row_sums.gradient(dy[q][v] * weight[q][v], x[q][v]);
            sums.weight[q][v] = fmaf(dy[q][v], x[q][v] * row_sums.factor, sums.weight[q][v]);
            sums.bias[q][v] += dy[q][v];
        }
        if (channel < a.x.cols) { store(result, dx + channel); }
    }
}

/// A row is a group of lanes', whose values stay in registers; a thread block has every gridDim.x-th kThreads / Lanes
/// rows, and leaves a row [dweight, dbias] of partial sums.
template <class X, class DY, class DX, int Lanes, int Quads>
__global__ void __launch_bounds__(kThreads, resident(Quads)) backward_in_registers(NormBackwardCudaArgs const a) {
    ParameterSums<Quads> sums;
    index_t const step = static_cast<index_t>(gridDim.x) * blockDim.y;
    for (index_t begin = static_cast<index_t>(blockIdx.x) * blockDim.y; begin < a.x.rows; begin += step) {
        index_t const row = begin + threadIdx.y;
        differentiate_row<X, DY, DX, Lanes, Quads>(a, row, row < a.x.rows, sums);
    }
    if (a.dweight == nullptr && a.dbias == nullptr) { return; }
    float* const partials = a.scratch + 2 * a.x.cols * static_cast<index_t>(blockIdx.x);
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        index_t const channel = kQuad * (threadIdx.x + Lanes * q);
        sum_over_rows_of_threads(sums.weight[q]);
        sum_over_rows_of_threads(sums.bias[q]);
        if (threadIdx.y > 0 || channel >= a.x.cols) { continue; }
#pragma unroll
        for (int v = 0; v < kQuad; ++v) {
            partials[channel + v] = sums.weight[q][v];
            partials[a.x.cols + channel + v] = sums.bias[q][v];
        }
    }
}

template <class T>
__device__ float element(DeviceMatrix const& from, index_t row, index_t channel) {
    float value[1];
    load(static_cast<T const*>(from.data) + row * from.row_stride + channel, value);
    return value[0];
}

/// dx for any shape: a warp reads its row for each pass. Leaves mean and factor of each row in scratch, if parameter
/// gradients are wanted.
template <class X, class DY, class DX>
__global__ void __launch_bounds__(kThreads) backward_any(NormBackwardCudaArgs const a) {
    index_t const row = (static_cast<index_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
    if (row >= a.x.rows) { return; }
    index_t const first = threadIdx.x % kWarp;
    auto const gradient = [&](index_t channel) {
        return element<DY>(a.dy, row, channel) * (a.weight != nullptr ? a.weight[channel] : 1.0F);
    };
    float mean = 0.0F;
    if (a.centred) {
        float sum = 0.0F;
        for (index_t channel = first; channel < a.x.cols; channel += kWarp) {
            sum += element<X>(a.x, row, channel);
        }
        mean = group_sum<kWarp>(sum) / static_cast<float>(a.x.cols);
    }
    float squares = 0.0F;
    float total = 0.0F;
    float product = 0.0F;
    for (index_t channel = first; channel < a.x.cols; channel += kWarp) {
        float const difference = element<X>(a.x, row, channel) - mean;
        float const g = gradient(channel);
        squares = fmaf(difference, difference, squares);
        total += g;
        product = fmaf(g, difference, product);
    }
    RowSums const sums(a, group_sum<kWarp>(squares), group_sum<kWarp>(total), group_sum<kWarp>(product));
    if (first == 0 && (a.dweight != nullptr || a.dbias != nullptr)) {
        a.scratch[2 * row] = mean;
        a.scratch[2 * row + 1] = sums.factor;
    }
    DX* const dx = static_cast<DX*>(a.dx.data) + row * a.dx.row_stride;
    for (index_t channel = first; channel < a.x.cols; channel += kWarp) {
        float const difference = element<X>(a.x, row, channel) - mean;
        float result[1] = {a.accumulate ? element<DX>(a.dx, row, channel) : 0.0F};
        result[0] += sums.gradient(gradient(channel), difference);
        store(result, dx + channel);
    }
}

/// Behind backward_any: a thread has one channel of every gridDim.x-th rows.
template <class X, class DY>
__global__ void __launch_bounds__(kThreads) parameter_sums_any(NormBackwardCudaArgs const a, float* partials) {
    index_t const channel = group_index();
    float weight[1] = {};
    float bias[1] = {};
    index_t const step = static_cast<index_t>(gridDim.x) * blockDim.y;
    for (index_t row = row_index(); row < a.x.rows && channel < a.x.cols; row += step) {
        float const dy = element<DY>(a.dy, row, channel);
        float const normal = (element<X>(a.x, row, channel) - a.scratch[2 * row]) * a.scratch[2 * row + 1];
        weight[0] = fmaf(dy, normal, weight[0]);
        bias[0] += dy;
    }
    sum_over_rows_of_threads(weight);
    sum_over_rows_of_threads(bias);
    if (threadIdx.y > 0 || channel >= a.x.cols) { return; }
    float* const to = partials + 2 * a.x.cols * static_cast<index_t>(blockIdx.x);
    to[channel] = weight[0];
    to[a.x.cols + channel] = bias[0];
}

constexpr index_t kBlocksOfAny = 64; ///< that share the rows of parameter_sums_any

template <class X, class DY, class DX>
void launch_any(NormBackwardCudaArgs const& a, GpuStream stream) {
    constexpr index_t kWarps = kThreads / kWarp;
    backward_any<X, DY, DX><<<static_cast<unsigned>((a.x.rows + kWarps - 1) / kWarps), kThreads, 0, stream>>>(a);
    check_launch("norm_backward");
    if (a.dweight == nullptr && a.dbias == nullptr) { return; }
    ChannelGrid g(a.x.rows, a.x.cols);
    g.grid.x = std::min(g.grid.x, static_cast<unsigned>(kBlocksOfAny));
    float* const partials = a.scratch + 2 * a.x.rows;
    parameter_sums_any<X, DY><<<g.grid, g.threads, 0, stream>>>(a, partials);
    check_launch("norm_backward, parameters");
    add_partial_sums(partials, g.grid.x, 2 * a.x.cols, a.dweight, a.x.cols, a.dbias, stream);
}

template <class X, class DY, class DX, int Lanes, int Quads>
void launch_in_registers(NormBackwardCudaArgs const& a, GpuStream stream) {
    constexpr index_t kRows = kThreads / Lanes;
    auto const blocks = static_cast<unsigned>(std::min((a.x.rows + kRows - 1) / kRows, most_blocks(Quads)));
    backward_in_registers<X, DY, DX, Lanes, Quads><<<blocks, dim3(Lanes, kRows), 0, stream>>>(a);
    check_launch("norm_backward");
    if (a.dweight == nullptr && a.dbias == nullptr) { return; }
    add_partial_sums(a.scratch, blocks, 2 * a.x.cols, a.dweight, a.x.cols, a.dbias, stream);
}

template <class X, class DY, class DX>
void launch(NormBackwardCudaArgs const& a, GpuStream stream) {
    index_t const d = a.x.cols;
    bool const quads = in_quads(a.x) && in_quads(a.dy) && in_quads(a.dx) && in_quads(a.weight);
    if (!quads || d > kQuad * kWarp * kMostQuads) {
        launch_any<X, DY, DX>(a, stream);
    } else if (d <= kQuad * 16) {
        launch_in_registers<X, DY, DX, 16, 1>(a, stream);
    } else if (d <= kQuad * kWarp) {
        launch_in_registers<X, DY, DX, kWarp, 1>(a, stream);
    } else if (d <= kQuad * kWarp * 2) {
        launch_in_registers<X, DY, DX, kWarp, 2>(a, stream);
    } else if (d <= kQuad * kWarp * 4) {
        launch_in_registers<X, DY, DX, kWarp, 4>(a, stream);
    } else {
        launch_in_registers<X, DY, DX, kWarp, kMostQuads>(a, stream);
    }
}

} // namespace

index_t norm_backward_scratch_floats(index_t rows, index_t d) {
    return std::max(most_blocks(1) * 2 * d, 2 * rows + kBlocksOfAny * 2 * d);
}

void norm_backward_cuda(NormBackwardCudaArgs const& args, GpuStream stream) {
    char const* op = "norm_backward";
    for (auto const* m : {&args.dy, &args.dx}) {
        check_extent(op, "rows of a gradient", m->rows, args.x.rows);
        check_extent(op, "channels of a gradient", m->cols, args.x.cols);
    }
    if (args.x.empty()) { return; }
    with_element(op, args.x.dtype, [&](auto x) {
        with_element(op, args.dy.dtype, [&](auto dy) {
            with_element(op, args.dx.dtype,
                         [&](auto dx) { launch<decltype(x), decltype(dy), decltype(dx)>(args, stream); });
        });
    });
}

} // namespace strandwave
