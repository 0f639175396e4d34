#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

namespace strandwave {

/// Outputs that lie side by side in a panel.
inline constexpr index_t kLinearPanel = 64;

/// A weight `[out, in]` in panels of 64 outputs, as oneDNN packs it for AVX-512: its BA16a64b and, for bf16,
/// BA16a64b2a. A panel is `[in][64]`, in bf16 `[in / 2][64][2]` with `in` rounded up, and is read from its first byte
/// to its last. What a panel holds beyond `out` and `in` is zero.
struct LinearPanels {
    void const* data = nullptr; ///< aligned to 4 bytes
    DType dtype = DType::f32;   ///< f32 or bf16
    index_t in = 0;
    index_t out = 0;
    index_t step = 0; ///< elements from one panel's first to the next one's
};

/// y = x W^T + bias, or y += that, of a single row: the product of a decoder, which takes as long as W takes to read.
/// x `[in]`, already rounded to bf16 where W is; bias `[out]` or empty; y `[out]`, not overlapping x.
/// Precision: fp32, each sum in the order of `in`, with fused multiply-adds. Checks nothing: Linear has done so.
void linear_row_cpu(LinearPanels const& weight, View<float const, 1> x, View<float const, 1> bias, bool accumulate,
                    View<float, 1> y);

} // namespace strandwave
