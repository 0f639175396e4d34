#pragma once

#include "kernels/selective_scan/selective_scan.h"

namespace strandwave {

/// A run of rows of one record, with the gradients carried over its ends against the order of time.
struct ScanBackwardSegment {
    index_t begin = 0;              ///< first row
    index_t length = 0;             ///< rows; may be 0: then d_initial = d_final
    float const* initial = nullptr; ///< [d_state, d_inner] h before the first row, as in the forward pass; null = zeros
    float const* d_final = nullptr; ///< [d_state, d_inner] dL/dh behind the last row; null = zeros
    float* d_initial = nullptr;     ///< [d_state, d_inner] out: dL/dh before the first row; null = not wanted; may be
                                    ///< `d_final`
};

/// Gradients of selective_scan.h (its names; L is the loss). The states are computed again from the inputs, or from the
/// few that the forward pass kept, not stored: Gu & Dao 2023, section 3.3.2. With ds = y before the gate,
/// s = sum_n C h + D u, g[n,e] = dL/dh of row t:
///   dz      = dy * s * silu'(z)             ds = dy * silu(z)                (without z: ds = dy)
///   g[n,e]  = C[t,n] * ds[t,e] + exp(dt[t+1,e] * A[n,e]) * g_next[n,e]       (g_next of the last row: d_final, as is)
///   dC[t,n] = sum_e ds * h[n,e]             dB[t,n] = sum_e g * dt * u       dD[e] += sum_t ds * u
///   du      = D * ds + dt * sum_n g * B     dA[n,e] += sum_t g * dt * exp(dt A) * h_before
///   ddt     = sum_n g * (B * u + A * exp(dt A) * h_before)
///   ddelta  = ddt * sigmoid(delta + delta_bias)                              ddelta_bias[e] += sum_t ddelta
/// d_initial = exp(dt A) * g of the first row.
/// reverse: time runs from a segment's last row to its first, in the forward pass too.
/// Shapes as in selective_scan.h. dA, dD and ddelta_bias are added to, all others are written; rows that no segment
/// covers are left alone. `accumulate_gate`: dz and y are added to (the second of two directions behind one gate).
/// Precision: fp32; sums over rows and channels in fp32 of bounded length (no worse than twice a plain fp32 loop's
/// error). Determinism: the same bits every run. Exact for pieces of a record: handing d_initial of a piece to the
/// piece before it as d_final gives the gradients of the whole, up to rounding. Aliasing: du, ddelta, dz and y overlap
/// none of the inputs nor each other, but for dz = dy. Throws: shape_mismatch, unsupported (d_state > kMaxState).
struct SelectiveScanBackwardArgs {
    View<float const, 2> u;          ///< [T, E]
    View<float const, 2> delta;      ///< [T, E] before bias and softplus
    View<float const, 2> A;          ///< [N, E]
    View<float const, 2> B;          ///< [T, N]
    View<float const, 2> C;          ///< [T, N]
    View<float const, 1> D;          ///< [E]
    View<float const, 1> delta_bias; ///< [E]; empty = none
    View<float const, 2> z;          ///< [T, E]; empty = no gate
    View<float const, 2> dy;         ///< [T, E]
    std::span<ScanBackwardSegment const> segments;
    bool reverse = false;
    bool accumulate_gate = false;
    /// What selective_scan kept of the same inputs and segments: saves a walk and changes no bit. Null: nothing.
    float const* kept_states = nullptr;
    View<float, 2> du;          ///< [T, E]
    View<float, 2> ddelta;      ///< [T, E]
    View<float, 2> dB;          ///< [T, N]
    View<float, 2> dC;          ///< [T, N]
    View<float, 2> dz;          ///< [T, E]; empty without a gate
    View<float, 2> y;           ///< [T, E] the output of the forward pass, computed again; empty = not wanted
    View<float, 2> dA;          ///< [N, E]
    View<float, 1> dD;          ///< [E]
    View<float, 1> ddelta_bias; ///< [E]; empty = not wanted
};

void selective_scan_backward(SelectiveScanBackwardArgs const& args);

} // namespace strandwave
