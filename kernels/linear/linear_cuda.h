#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

#include <memory>

namespace strandwave {

/// y = x W^T + bias of linear.h on the GPU; the GEMM is cuBLASLt's.
/// Precision: dtype f32 multiplies and sums in fp32 (never TF32); bf16 takes x and W as bf16 and sums in fp32.
/// Determinism: the algorithm is chosen once for a Linear, without split sums, and used for any number of rows: a row's
/// bits do not depend on how many rows there are, or on which.
/// Immutable after construction; one Linear may run on many streams.
class LinearCuda {
public:
    LinearCuda();
    /// Host arrays: weight `[out, in]`, bias `[out]` or empty. `y`: the type of the result.
    LinearCuda(View<float const, 2> weight, View<float const, 1> bias, DType dtype, DType y);
    ~LinearCuda();
    LinearCuda(LinearCuda&&) noexcept;
    LinearCuda& operator=(LinearCuda&&) noexcept;

    index_t in() const noexcept;
    index_t out() const noexcept;
    bool empty() const noexcept { return impl_ == nullptr; }
    void const* weight() const noexcept; ///< device memory, `[out, in]`

    /// x `[n, in]` of the Linear's dtype, y `[n, out]`; any row stride. `accumulate`: y +=. Throws shape_mismatch,
    /// device.
    void apply(DeviceMatrix x, DeviceMatrix y, bool accumulate, GpuStream stream) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace strandwave
