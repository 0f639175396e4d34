#pragma once

#include "lib/core/view.h"

#include <span>

namespace strandwave {

/// Widest kernel that the op takes.
inline constexpr index_t kMaxConv = 64;

/// A run of rows of a packed block that belong to one record, with the inputs carried over its ends.
struct ConvSegment {
    index_t begin = 0;  ///< first row
    index_t length = 0; ///< rows; may be 0
    float const* initial =
        nullptr;            ///< [d_conv - 1, channels] the inputs before the first row, oldest first; null = zeros
    float* final = nullptr; ///< [d_conv - 1, channels] out: the inputs before the next row; null = not wanted;
                            ///< may be `initial`
};

/// Causal depthwise convolution with carried state, then SiLU. Gu & Dao 2023, section 3.4; published code:
/// causal_conv1d_ref of Dao-AILab/causal-conv1d with activation "silu".
///   y[t,c] = silu(bias[c] + sum_k weight[k,c] * x[t - (W - 1) + k, c])
/// Shapes: T packed rows, W = d_conv in 1..kMaxConv taps; the last tap is the current row. Rows before a segment come
/// from its `initial`.
/// reverse: time runs from a segment's last row to its first: y[t] sees x[t .. t + W - 1]; `initial` are then the rows
/// behind the segment's end, oldest in time first.
/// Precision: fp32, taps summed oldest first. Determinism: the same bits for any cut of a record and any company.
/// Aliasing: y may not overlap x; what one segment leaves as `final` is not another one's `initial` in the same call.
/// Throws: shape_mismatch, unsupported (W > kMaxConv).
struct CausalConv1dArgs {
    View<float const, 2> x;      ///< [T, channels]
    View<float const, 2> weight; ///< [W, channels], tap-major
    View<float const, 1> bias;   ///< [channels]; empty = none
    std::span<ConvSegment const> segments;
    bool reverse = false;
    View<float, 2> y; ///< [T, channels] out; rows that no segment covers are left alone
};

void causal_conv1d(CausalConv1dArgs const& args);

} // namespace strandwave
