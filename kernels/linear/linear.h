#pragma once

#include "lib/core/dtype.h"
#include "lib/core/view.h"

#include <memory>

namespace strandwave {

/// y = x W^T + bias, the projection of torch.nn.Linear. The GEMM is a library's (oneDNN): it packs the weight once for
/// this machine and dispatches by CPU features. A single row of x, where the packing is that of AVX-512, is multiplied
/// by code of our own (linear_row_cpu.h), which reads the packed weight twice as fast as the library does.
/// Precision: dtype f32 multiplies and sums in fp32. bf16 rounds weight (once) and x (each call) to bf16 and sums in
/// fp32; use it only where `bf16_is_native()`, elsewhere it is slower than f32.
/// Determinism: the same bits run to run. A row's bits may depend on x.rows (the library may pick another kernel for
/// another count), never on the content or position of other rows: feed a fixed row count to be independent of company.
/// Runs on the calling thread alone. Immutable and thread-safe after construction.
class Linear {
public:
    Linear();
    /// weight `[out, in]`, bias `[out]` or empty. Throws unsupported for other dtypes, and for bf16 where it is not
    /// supported; shape_mismatch.
    Linear(View<float const, 2> weight, View<float const, 1> bias, DType dtype);
    ~Linear();
    Linear(Linear&&) noexcept;
    Linear& operator=(Linear&&) noexcept;

    index_t in() const noexcept;
    index_t out() const noexcept;
    bool empty() const noexcept { return impl_ == nullptr; }

    /// x `[n, in]` and y `[n, out]`, rows tight (row_stride == cols; another stride costs the library a factor of 3)
    /// and both 64-byte aligned for speed. `accumulate`: y += instead of y =. x and y may not overlap. Throws
    /// shape_mismatch.
    void apply(View<float const, 2> x, View<float, 2> y, bool accumulate = false) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// bf16 products can be had at all.
bool bf16_is_supported() noexcept;

/// The processor multiplies bf16 in hardware at more than the rate of fp32 (AMX, or AVX512_BF16 at full rate).
bool bf16_is_native() noexcept;

} // namespace strandwave
