#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"

namespace strandwave {

/// A run of rows of one record, with the gradients carried over its ends against the order of time.
struct ConvBackwardSegment {
    index_t begin = 0;              ///< first row
    index_t length = 0;             ///< rows; may be 0
    float const* initial = nullptr; ///< [d_conv - 1, channels] as in the forward pass; null = zeros
    float const* d_final =
        nullptr;                ///< [d_conv - 1, channels] dL/d of the inputs carried out of the segment; null = zeros
    float* d_initial = nullptr; ///< [d_conv - 1, channels] out: of those carried in; null = not wanted; may be
                                ///< `d_final`
};

/// Gradients of causal_conv1d.h (its names). With s = bias + sum_k weight[k] * x[t - (W - 1) + k], ds = dy * silu'(s):
///   dx[t,c] = sum_k weight[k,c] * ds[t + (W - 1) - k, c]   + d_final where the row is carried out
///   dweight[k,c] += sum_t ds[t,c] * x[t - (W - 1) + k, c]      dbias[c] += sum_t ds[t,c]
/// s is computed again. A segment shorter than W - 1 hands part of d_final on to d_initial, as the forward pass hands
/// on part of `initial`. Shapes and `reverse` as in causal_conv1d.h. dweight and dbias are added to; dx is written, or
/// added to
/// (`accumulate`); its rows that no segment covers are left alone.
/// Precision: fp32. Determinism: the same bits every run. Aliasing: dx overlaps neither x nor dy.
/// Throws: shape_mismatch, unsupported (W > kMaxConv).
struct CausalConv1dBackwardArgs {
    View<float const, 2> x;      ///< [T, channels]
    View<float const, 2> weight; ///< [W, channels], tap-major
    View<float const, 1> bias;   ///< [channels]; empty = none
    View<float const, 2> dy;     ///< [T, channels]
    std::span<ConvBackwardSegment const> segments;
    bool reverse = false;
    bool accumulate = false;
    View<float, 2> dx;      ///< [T, channels]
    View<float, 2> dweight; ///< [W, channels]
    View<float, 1> dbias;   ///< [channels]; empty = not wanted
};

void causal_conv1d_backward(CausalConv1dBackwardArgs const& args);

} // namespace strandwave
