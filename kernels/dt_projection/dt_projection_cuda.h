#pragma once

#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The step sizes of a selective scan out of their low-rank form, in one pass over the result (Gu & Dao 2023, algorithm
/// 2, step 5): dt_proj of linear.h, its bias and the softplus of selective_scan.h.
///   dt[t,e] = softplus(sum_r x[t,r] * weight[e,r] + bias[e])
/// Shapes: x `[T, dt_rank]`, weight `[d_inner, dt_rank]` tight, dt `[T, d_inner]`; all of one type, f32 or bf16, in
/// device memory; dt_rank up to 256 in bf16.
/// Precision: products are summed in fp32 in order of r (f32), or by the tensor cores in fp32 (bf16). The bf16 result
/// rounds dt itself, which loses less than to round its argument: softplus of -7 +- 2^-7 is off by 0.8 %.
/// Determinism: a row's bits are its own. Asynchronous on a stream. Throws shape_mismatch, unsupported.
struct DtProjectionCudaArgs {
    DeviceMatrix x;
    void const* weight = nullptr;
    float const* bias = nullptr; ///< [d_inner]; null = none
    DeviceMatrix dt;
};

void dt_projection_cuda(DtProjectionCudaArgs const& args, GpuStream stream);

} // namespace strandwave
