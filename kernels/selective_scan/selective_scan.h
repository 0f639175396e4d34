#pragma once

#include "lib/core/view.h"

#include <span>

namespace strandwave {

/// Largest d_state that the kernels take.
inline constexpr index_t kMaxState = 256;

/// A run of rows of a packed block that belong to one record, with the state carried over its ends.
struct ScanSegment {
    index_t begin = 0;              ///< first row
    index_t length = 0;             ///< rows; may be 0
    float const* initial = nullptr; ///< [d_state, d_inner] h before the first row; null = zeros
    float* final = nullptr; ///< [d_state, d_inner] out: h after the last row; null = not wanted; may be `initial`
};

/// Floats of SelectiveScanArgs::kept_states, for at most so many rows in so many segments.
index_t scan_kept_states(index_t rows, index_t segments, index_t d_inner, index_t d_state);

/// Selective scan (S6), forward, with carried state. Gu & Dao 2023, arXiv:2312.00752, equation (2) and algorithm 2;
/// published code: selective_scan_ref of state-spaces/mamba. For every row t of a segment, channel e and state n:
///   dt      = softplus(delta[t,e] + delta_bias[e])
///   h[n,e]  = exp(dt * A[n,e]) * h[n,e] + dt * B[t,n] * u[t,e]        (Euler step for B as published, not exact ZOH)
///   y[t,e]  = (sum_n C[t,n] * h[n,e] + D[e] * u[t,e]) * silu(z[t,e])
/// Shapes: T packed rows, E = d_inner, N = d_state in 1..kMaxState. A and h are state-major, so that neighbouring
/// channels are neighbours in memory.
/// reverse: time runs from a segment's last row to its first (the other direction of a bidirectional model).
/// Precision: all fp32; h is never rounded further. Exponentials are within 2e-7 relative.
/// Determinism: the same bits every run, for any other segments in the call, and for any cut of a record into calls:
/// the CPU kernel walks time in order.
/// Aliasing: y may be u, delta or z (same element only); it may not overlap B or C. Segments may run in any order: what
/// one leaves as `final` is not another one's `initial` in the same call.
/// Throws: shape_mismatch, unsupported (d_state > kMaxState).
struct SelectiveScanArgs {
    View<float const, 2> u;          ///< [T, E]
    View<float const, 2> delta;      ///< [T, E] before bias and softplus
    View<float const, 2> A;          ///< [N, E] negative: -exp(A_log), transposed
    View<float const, 2> B;          ///< [T, N]
    View<float const, 2> C;          ///< [T, N]
    View<float const, 1> D;          ///< [E]
    View<float const, 1> delta_bias; ///< [E]; empty = none
    View<float const, 2> z;          ///< [T, E]; empty = no gate
    std::span<ScanSegment const> segments;
    bool reverse = false;
    View<float, 2> y; ///< [T, E] out; rows that no segment covers are left alone
    /// [scan_kept_states] out: what saves selective_scan_backward of the same inputs a walk; null = not wanted
    float* kept_states = nullptr;
};

void selective_scan(SelectiveScanArgs const& args);

} // namespace strandwave
