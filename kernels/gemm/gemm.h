#pragma once

#include "lib/core/view.h"

namespace strandwave {

/// c = op(a) op(b), or c += op(a) op(b); op(x) is x or its transpose. The products of training, whose factors both
/// change from step to step: kernels/linear packs a weight once instead. The GEMM is a library's (oneDNN). Shapes:
/// op(a) `[m, k]`, op(b) `[k, n]`, c `[m, n]`, any row strides. k = 0: c = 0, or left alone when accumulating.
/// Precision: fp32 products and sums. Determinism: the same bits run to run; a row's bits may depend on m.
/// Runs on the calling thread alone. Aliasing: c overlaps neither a nor b. Throws: shape_mismatch.
struct GemmArgs {
    View<float const, 2> a;
    bool transpose_a = false;
    View<float const, 2> b;
    bool transpose_b = false;
    View<float, 2> c;
    bool accumulate = false; ///< c +=
};

void gemm(GemmArgs const& args);

} // namespace strandwave
