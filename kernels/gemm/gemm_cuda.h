#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

#include <memory>

namespace strandwave {

/// The contract of gemm.h on the GPU, asynchronous on a stream; the GEMM is cuBLASLt's.
/// Types: a, b and c f32 (never TF32), or a and b bf16 and c f32 or bf16; sums are fp32. c in bf16 is rounded once,
/// and the product before it where it is added to.
/// Determinism: the same bits run to run on one kind of GPU. The algorithm is chosen by the library's heuristic alone,
/// from shapes, strides, types and alignment, once for each combination; long sums may be split over the chip, their
/// parts are then added in a fixed order through the workspace. A row's bits may depend on m.
/// An object serves one stream at a time: its workspace (allocated here, never later) holds one product's parts.
/// `apply` may be captured into a CUDA graph, which then keeps using the workspace; any host thread, one at a time.
class GemmCuda {
public:
    /// Of the current GPU. Throws too_large, device.
    GemmCuda();
    ~GemmCuda();
    GemmCuda(GemmCuda&&) noexcept;
    GemmCuda& operator=(GemmCuda&&) noexcept;

    /// c = op(a) op(b), or += (`accumulate`). Elements are aligned to their type; 16-byte aligned rows are faster.
    /// Throws shape_mismatch, unsupported (types), device.
    void apply(DeviceMatrix a, bool transpose_a, DeviceMatrix b, bool transpose_b, DeviceMatrix c, bool accumulate,
               GpuStream stream);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace strandwave
