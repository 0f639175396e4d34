#include "kernels/norm/norm_cuda.h"

#include "kernels/cuda/element.cuh"
#include "lib/core/check.h"

namespace strandwave {
namespace {

constexpr int kWarp = 32;

/// The sum over a group of `Lanes` neighbouring lanes, in all of them, in one order for each Lanes. Lanes that hold
/// zero do not change it: 16 lanes give the bits of 32 with 16 zeros behind them.
template <int Lanes>
__device__ float group_sum(float value) {
#pragma unroll
    for (int distance = Lanes / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffU, value, distance);
    }
    return value;
}

/// What a row's elements are multiplied with.
__device__ float scale_of(float squares, float d, float epsilon) { return 1.0F / sqrtf(squares / d + epsilon); }

/// Kinds of parameters are the same for all threads: these branches do not diverge.
template <int V>
__device__ void apply(NormCudaArgs const& a, index_t channel, float mean, float scale, float (&values)[V]) {
    float weight[V];
    float bias[V];
    if (a.weight != nullptr) { load(a.weight + channel, weight); }
    if (a.bias != nullptr) { load(a.bias + channel, bias); }
#pragma unroll
    for (int v = 0; v < V; ++v) {
        values[v] = (values[v] - mean) * scale;
        if (a.weight != nullptr) { values[v] *= weight[v]; }
        if (a.bias != nullptr) { values[v] += bias[v]; }
    }
}

/// A row is a group of lanes', whose values stay in registers: lane l has the channels kQuad (l + Lanes q), q < Quads,
/// and the three behind each.
template <class X, class Y, int Lanes, int Quads>
__global__ void __launch_bounds__(kThreads) norm_in_registers(NormCudaArgs const a) {
    index_t const row = (blockIdx.x * kThreads + threadIdx.x) / Lanes;
    if (row >= a.x.rows) { return; } // with all lanes of its group
    int const d = static_cast<int>(a.x.cols);
    int const first = kQuad * (static_cast<int>(threadIdx.x) % Lanes);
    X const* x = static_cast<X const*>(a.x.data) + row * a.x.row_stride;
    Y* y = static_cast<Y*>(a.y.data) + row * a.y.row_stride;
    float values[Quads][kQuad];
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        int const channel = first + kQuad * Lanes * q;
        if (channel < d) {
            load(x + channel, values[q]);
        } else {
            unpack(float4{}, values[q]);
        }
    }
    float mean = 0.0F;
    if (a.centred) {
        float sum = 0.0F;
#pragma unroll
        for (int q = 0; q < Quads; ++q) {
#pragma unroll
            for (int v = 0; v < kQuad; ++v) {
                sum += values[q][v];
            }
        }
        mean = group_sum<Lanes>(sum) / static_cast<float>(d);
    }
    float squares = 0.0F;
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
#pragma unroll
        for (int v = 0; v < kQuad; ++v) {
            float const centred = values[q][v] - mean;
            if (first + kQuad * Lanes * q < d) { squares = fmaf(centred, centred, squares); }
        }
    }
    float const scale = scale_of(group_sum<Lanes>(squares), static_cast<float>(d), a.epsilon);
#pragma unroll
    for (int q = 0; q < Quads; ++q) {
        int const channel = first + kQuad * Lanes * q;
        if (channel >= d) { return; }
        apply(a, channel, mean, scale, values[q]);
        store(values[q], y + channel);
    }
}

/// The same sums in the same order for any shape: a warp reads its row for each pass.
template <class X, class Y>
__global__ void __launch_bounds__(kThreads) norm_any(NormCudaArgs const a) {
    index_t const row = (static_cast<index_t>(blockIdx.x) * kThreads + threadIdx.x) / kWarp;
    if (row >= a.x.rows) { return; }
    index_t const d = a.x.cols;
    X const* x = static_cast<X const*>(a.x.data) + row * a.x.row_stride;
    Y* y = static_cast<Y*>(a.y.data) + row * a.y.row_stride;
    auto const for_each_channel = [&](auto const& body) {
        for (index_t quad = kQuad * (threadIdx.x % kWarp); quad < d; quad += kQuad * kWarp) {
            for (index_t channel = quad; channel < quad + kQuad && channel < d; ++channel) {
                body(channel);
            }
        }
    };
    auto const at = [&](index_t channel) {
        float value[1];
        load(x + channel, value);
        return value[0];
    };
    float mean = 0.0F;
    if (a.centred) {
        float sum = 0.0F;
        for_each_channel([&](index_t channel) { sum += at(channel); });
        mean = group_sum<kWarp>(sum) / static_cast<float>(d);
    }
    float squares = 0.0F;
    for_each_channel([&](index_t channel) { squares = fmaf(at(channel) - mean, at(channel) - mean, squares); });
    float const scale = scale_of(group_sum<kWarp>(squares), static_cast<float>(d), a.epsilon);
    for_each_channel([&](index_t channel) {
        float value[1] = {at(channel)};
        apply(a, channel, mean, scale, value);
        store(value, y + channel);
    });
}

unsigned thread_blocks(index_t rows, int lanes) {
    return static_cast<unsigned>((rows * lanes + kThreads - 1) / kThreads);
}

template <class X, class Y, int Lanes, int Quads>
void launch_in_registers(NormCudaArgs const& a, GpuStream stream) {
    norm_in_registers<X, Y, Lanes, Quads><<<thread_blocks(a.x.rows, Lanes), kThreads, 0, stream>>>(a);
}

/// 20 quads a lane: d = 2560 is the width of the largest published model.
template <class X, class Y>
void launch(NormCudaArgs const& a, GpuStream stream) {
    index_t const d = a.x.cols;
    bool const quads = in_quads(a.x) && in_quads(a.y) && in_quads(a.weight) && in_quads(a.bias);
    if (!quads || d > kQuad * kWarp * 20) {
        norm_any<X, Y><<<thread_blocks(a.x.rows, kWarp), kThreads, 0, stream>>>(a);
    } else if (d <= kQuad * 4) {
        launch_in_registers<X, Y, 4, 1>(a, stream);
    } else if (d <= kQuad * 16) {
        launch_in_registers<X, Y, 16, 1>(a, stream);
    } else if (d <= kQuad * kWarp) {
        launch_in_registers<X, Y, kWarp, 1>(a, stream);
    } else if (d <= kQuad * kWarp * 2) {
        launch_in_registers<X, Y, kWarp, 2>(a, stream);
    } else if (d <= kQuad * kWarp * 4) {
        launch_in_registers<X, Y, kWarp, 4>(a, stream);
    } else if (d <= kQuad * kWarp * 8) {
        launch_in_registers<X, Y, kWarp, 8>(a, stream);
    } else {
        launch_in_registers<X, Y, kWarp, 20>(a, stream);
    }
    check_launch("norm");
}

} // namespace

void norm_cuda(NormCudaArgs const& args, GpuStream stream) {
    check_extent("norm", "rows of y", args.y.rows, args.x.rows);
    check_extent("norm", "channels of y", args.y.cols, args.x.cols);
    if (args.x.empty()) { return; }
    with_element("norm", args.x.dtype, [&](auto x) {
        with_element("norm", args.y.dtype, [&](auto y) { launch<decltype(x), decltype(y)>(args, stream); });
    });
}

} // namespace strandwave
