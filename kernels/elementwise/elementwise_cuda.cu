#include "kernels/elementwise/elementwise_cuda.h"

#include "kernels/cuda/element.cuh"
#include "kernels/elementwise/dropout_hash.h"
#include "lib/core/check.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace strandwave {
namespace {

constexpr unsigned kMostGridRows = 65535; ///< of the second extent of a grid

/// Behind each op: whether it reads y, and what y becomes, given the place, x and y.
struct Add {
    static constexpr bool kReadsY = true;
    __device__ float operator()(index_t, index_t, float x, float y) const { return y + x; }
};

struct Copy {
    static constexpr bool kReadsY = false;
    __device__ float operator()(index_t, index_t, float x, float) const { return x; }
};

/// y[row, col] for each group of V columns; a row may have more groups than a grid has threads for.
template <class X, class Y, int V, class Op>
__global__ void __launch_bounds__(kThreads) map_elements(DeviceMatrix const x, DeviceMatrix const y, Op const op) {
    index_t const row = row_index();
    if (row >= x.rows) { return; }
    X const* from = static_cast<X const*>(x.data) + row * x.row_stride;
    Y* to = static_cast<Y*>(y.data) + row * y.row_stride;
    index_t const step = static_cast<index_t>(gridDim.y) * blockDim.x * V;
    for (index_t col = group_index() * V; col < x.cols; col += step) {
        float values[V];
        float old[V] = {};
        load(from + col, values);
        if constexpr (Op::kReadsY) { load(static_cast<Y const*>(to) + col, old); }
#pragma unroll
        for (int v = 0; v < V; ++v) {
            values[v] = op(row, col + v, values[v], old[v]);
        }
        store(values, to + col);
    }
}

template <int V, class X, class Y, class Op>
void launch(char const* name, DeviceMatrix x, DeviceMatrix y, Op op, GpuStream stream) {
    ChannelGrid g(x.rows, x.cols / V);
    g.grid.y = std::min(g.grid.y, kMostGridRows);
    map_elements<X, Y, V><<<g.grid, g.threads, 0, stream>>>(x, y, op);
    check_launch(name);
}

void check_same_shape(char const* name, DeviceMatrix const& x, DeviceMatrix const& y) {
    check_extent(name, "rows of y", y.rows, x.rows);
    check_extent(name, "columns of y", y.cols, x.cols);
}

template <class Op>
void map(char const* name, DeviceMatrix x, DeviceMatrix y, Op op, GpuStream stream) {
    check_same_shape(name, x, y);
    if (x.empty()) { return; }
    with_element(name, x.dtype, [&](auto x_zero) {
        with_element(name, y.dtype, [&](auto y_zero) {
            using X = decltype(x_zero);
            using Y = decltype(y_zero);
            if (in_quads(x) && in_quads(y)) { return launch<kQuad, X, Y>(name, x, y, op, stream); }
            launch<1, X, Y>(name, x, y, op, stream);
        });
    });
}

/// Dropout needs a key of its row and the seed, once a thread: a kernel of its own.
template <class X, class Y, int V>
__global__ void __launch_bounds__(kThreads)
    drop_elements(DropoutCudaArgs const a, std::uint32_t threshold, float factor) {
    index_t const row = row_index();
    if (row >= a.x.rows) { return; }
    std::uint64_t const key = DropoutHash(*a.seed, a.site).row_key(a.first_row + row);
    X const* from = static_cast<X const*>(a.x.data) + row * a.x.row_stride;
    Y* to = static_cast<Y*>(a.y.data) + row * a.y.row_stride;
    index_t const step = static_cast<index_t>(gridDim.y) * blockDim.x * V;
    for (index_t col = group_index() * V; col < a.x.cols; col += step) {
        float values[V];
        load(from + col, values);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            values[v] = DropoutHash::bits(key, col + v) >= threshold ? values[v] * factor : 0.0F;
        }
        store(values, to + col);
    }
}

template <int V, class X, class Y>
void launch_dropout(DropoutCudaArgs const& a, GpuStream stream) {
    ChannelGrid g(a.x.rows, a.x.cols / V);
    g.grid.y = std::min(g.grid.y, kMostGridRows);
    drop_elements<X, Y, V>
        <<<g.grid, g.threads, 0, stream>>>(a, dropout_threshold(a.probability), 1.0F / (1.0F - a.probability));
    check_launch("dropout");
}

/// On y and the transposed x: what y becomes.
struct NegativeExp {
    __device__ float operator()(float x, float) const { return static_cast<float>(-exp(static_cast<double>(x))); }
};

/// y[row, col] from x[col, row]. For parameters, which are small: reads of x are not gathered.
template <class X, class Y, class Op>
__global__ void __launch_bounds__(kThreads) map_transposed(DeviceMatrix const x, DeviceMatrix const y, Op const op) {
    index_t const row = row_index();
    index_t const step = static_cast<index_t>(gridDim.y) * blockDim.x;
    for (index_t col = group_index(); row < y.rows && col < y.cols; col += step) {
        float value[1];
        float old[1];
        Y* to = static_cast<Y*>(y.data) + row * y.row_stride + col;
        load(static_cast<X const*>(x.data) + col * x.row_stride + row, value);
        load(static_cast<Y const*>(to), old);
        value[0] = op(value[0], old[0]);
        store(value, to);
    }
}

template <class Op>
void transposed(char const* name, DeviceMatrix x, DeviceMatrix y, Op op, GpuStream stream) {
    check_extent(name, "rows of y", y.rows, x.cols);
    check_extent(name, "columns of y", y.cols, x.rows);
    if (y.empty()) { return; }
    ChannelGrid g(y.rows, y.cols);
    g.grid.y = std::min(g.grid.y, kMostGridRows);
    with_element(name, x.dtype, [&](auto x_zero) {
        with_element(name, y.dtype, [&](auto y_zero) {
            map_transposed<decltype(x_zero), decltype(y_zero)><<<g.grid, g.threads, 0, stream>>>(x, y, op);
        });
    });
    check_launch(name);
}

__global__ void __launch_bounds__(kThreads)
    add_product_transposed(DeviceMatrix const a, DeviceMatrix const da, DeviceMatrix const da_log) {
    index_t const row = row_index();
    index_t const step = static_cast<index_t>(gridDim.y) * blockDim.x;
    for (index_t col = group_index(); row < da_log.rows && col < da_log.cols; col += step) {
        float const factor = static_cast<float const*>(a.data)[col * a.row_stride + row];
        float const gradient = static_cast<float const*>(da.data)[col * da.row_stride + row];
        static_cast<float*>(da_log.data)[row * da_log.row_stride + col] += gradient * factor;
    }
}

void check_f32(char const* name, DeviceMatrix const& matrix) {
    if (matrix.dtype == DType::f32) { return; }
    throw Error(ErrorCode::unsupported,
                std::string(name) + ": parameters are f32 on the GPU, not " + std::string(dtype_name(matrix.dtype)));
}

} // namespace

void add_cuda(DeviceMatrix x, DeviceMatrix y, GpuStream stream) { map("add", x, y, Add{}, stream); }
void copy_cast_cuda(DeviceMatrix x, DeviceMatrix y, GpuStream stream) { map("copy_cast", x, y, Copy{}, stream); }

void negative_exp_cuda(DeviceMatrix a_log, DeviceMatrix a, GpuStream stream) {
    check_f32("negative_exp", a_log);
    check_f32("negative_exp", a);
    transposed("negative_exp", a_log, a, NegativeExp{}, stream);
}

void negative_exp_backward_cuda(DeviceMatrix a, DeviceMatrix da, DeviceMatrix da_log, GpuStream stream) {
    for (auto const* matrix : {&a, &da, &da_log}) {
        check_f32("negative_exp_backward", *matrix);
    }
    check_same_shape("negative_exp_backward", a, da);
    check_extent("negative_exp_backward", "rows of dA_log", da_log.rows, a.cols);
    check_extent("negative_exp_backward", "columns of dA_log", da_log.cols, a.rows);
    if (da_log.empty()) { return; }
    ChannelGrid g(da_log.rows, da_log.cols);
    g.grid.y = std::min(g.grid.y, kMostGridRows);
    add_product_transposed<<<g.grid, g.threads, 0, stream>>>(a, da, da_log);
    check_launch("negative_exp_backward");
}

void dropout_cuda(DropoutCudaArgs const& args, GpuStream stream) {
    check_same_shape("dropout", args.x, args.y);
    if (!(args.probability >= 0.0F && args.probability < 1.0F)) {
        throw Error(ErrorCode::invalid_argument,
                    "dropout: probability " + std::to_string(args.probability) + " is not in [0, 1)");
    }
    if (args.x.empty()) { return; }
    with_element("dropout", args.x.dtype, [&](auto x_zero) {
        with_element("dropout", args.y.dtype, [&](auto y_zero) {
            using X = decltype(x_zero);
            using Y = decltype(y_zero);
            if (in_quads(args.x) && in_quads(args.y)) { return launch_dropout<kQuad, X, Y>(args, stream); }
            launch_dropout<1, X, Y>(args, stream);
        });
    });
}

} // namespace strandwave
