#pragma once

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// Doubles of scratch that each call of this header needs, whatever its shape.
index_t loss_scratch_doubles();

/// The contract of cross_entropy.h on the GPU, asynchronous on a stream. All pointers are device memory. logits are
/// f32; dlogits f32 or bf16, and may be logits if f32. *sums is written (=), never added to. Precision: exponentials
/// and sums of a row in fp32, its loss and sums over rows in double. Determinism: the same bits every run; the gradient
/// of a row (and its mate) does not depend on other rows. Nothing reads targets on the host: a target >= V makes the
/// sum of losses NaN; mates must lie in -1..T-1.
struct CrossEntropyCudaArgs {
    DeviceMatrix logits;                      ///< [T, V] f32
    std::int32_t const* targets = nullptr;    ///< [T]
    std::int32_t const* mates = nullptr;      ///< [T]; null = none
    std::int32_t const* complement = nullptr; ///< [V]; with mates
    float const* scale = nullptr;             ///< one number; null = 1
    DeviceMatrix dlogits = {};                ///< [T, V]; data null: not wanted
    LossSums* sums = nullptr;
    double* scratch = nullptr; ///< of loss_scratch_doubles()
};

void cross_entropy_cuda(CrossEntropyCudaArgs const& args, GpuStream stream);

/// As RowLossArgs: y and targets f32, dy f32 or bf16.
struct RowLossCudaArgs {
    DeviceMatrix y, targets;      ///< [n, K] f32
    float const* scale = nullptr; ///< one number; null = 1
    DeviceMatrix dy = {};         ///< [n, K]; data null: not wanted
    LossSums* sums = nullptr;
    double* scratch = nullptr; ///< of loss_scratch_doubles()
};

void soft_cross_entropy_cuda(RowLossCudaArgs const& args, GpuStream stream);
void squared_error_cuda(RowLossCudaArgs const& args, GpuStream stream);

} // namespace strandwave
