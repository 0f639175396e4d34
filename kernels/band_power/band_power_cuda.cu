#include "kernels/band_power/band_power.h"
#include "kernels/band_power/band_power_cuda.h"
#include "kernels/cuda/element.cuh"
#include "lib/core/check.h"

#include <algorithm>
#include <string>

namespace strandwave {
namespace {

constexpr unsigned kMostGridRows = 65535; ///< of the second extent of a grid

__device__ float* at(DeviceMatrix const& matrix, index_t row, index_t col) {
    return static_cast<float*>(matrix.data) + row * matrix.row_stride + col;
}

/// x, and y of the forward or dy and dx of the backward pass.
struct Bands {
    DeviceMatrix x, y, dx;
    float scale;

    __device__ float power(float a, float b) const {
        return fmaf(scale, fmaf(a, a, b * b), static_cast<float>(kPowerFloor));
    }
    __device__ void forward(float a, float b, index_t row, index_t band) const {
        *at(y, row, band) = log10f(power(a, b)) + static_cast<float>(kPowerOffset);
    }
    __device__ void backward(float a, float b, index_t row, index_t band) const {
        constexpr float kFactor = 0.868588964F; // 2 / ln 10
        float const slope = kFactor * scale * *at(y, row, band) / power(a, b);
        *at(dx, row, band) = slope * a;
        *at(dx, row, y.cols + band) = slope * b;
    }
};

template <bool kBackward>
__global__ void __launch_bounds__(kThreads) for_each_band(Bands const bands) {
    index_t const row = row_index();
    index_t const count = bands.y.cols;
    index_t const step = static_cast<index_t>(gridDim.y) * blockDim.x;
    for (index_t band = group_index(); row < bands.x.rows && band < count; band += step) {
        float const a = *at(bands.x, row, band);
        float const b = *at(bands.x, row, count + band);
        if constexpr (kBackward) {
            bands.backward(a, b, row, band);
        } else {
            bands.forward(a, b, row, band);
        }
    }
}

void check_pairs(char const* name, char const* what, DeviceMatrix const& pairs, DeviceMatrix const& bands) {
    if (pairs.dtype != DType::f32 || bands.dtype != DType::f32) {
        throw Error(ErrorCode::unsupported, std::string(name) + ": is of f32 only");
    }
    check_extent(name, (std::string("rows of ") + what).c_str(), pairs.rows, bands.rows);
    check_extent(name, (std::string("columns of ") + what).c_str(), pairs.cols, 2 * bands.cols);
}

template <bool kBackward>
void launch(char const* name, Bands const& bands, GpuStream stream) {
    if (bands.y.empty()) { return; }
    ChannelGrid g(bands.y.rows, bands.y.cols);
    g.grid.y = std::min(g.grid.y, kMostGridRows);
    for_each_band<kBackward><<<g.grid, g.threads, 0, stream>>>(bands);
    check_launch(name);
}

} // namespace

void band_power_cuda(DeviceMatrix x, float scale, DeviceMatrix y, GpuStream stream) {
    check_pairs("band_power", "x", x, y);
    launch<false>("band_power", {x, y, {}, scale}, stream);
}

void band_power_backward_cuda(DeviceMatrix x, float scale, DeviceMatrix dy, DeviceMatrix dx, GpuStream stream) {
    check_pairs("band_power_backward", "x", x, dy);
    check_pairs("band_power_backward", "dx", dx, dy);
    launch<true>("band_power_backward", {x, dy, dx, scale}, stream);
}

} // namespace strandwave
