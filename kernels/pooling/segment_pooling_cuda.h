#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/pooling/segment_pooling.h"
#include "lib/cuda/stream.h"

namespace strandwave {

/// The contract of segment_pooling.h on the GPU, asynchronous on a stream. x and dx are f32 or bf16, pooled and dpooled
/// f32. Segments lie in device memory; empty ones at the end (begin T, length 0) fill up a list of fixed length. Means
/// are summed in fp32 over 64 rows counted from a segment's start, then in double.
/// Determinism: the same bits every run, and a segment's share does not depend on other segments.
struct SegmentPoolingCudaArgs {
    Pooling pooling = Pooling::mean;
    DeviceMatrix x; ///< [T, d]
    PooledSegment const* segments = nullptr;
    index_t count = 0;
    DeviceMatrix pooled;      ///< [n, d] f32
    float* scratch = nullptr; ///< of segment_pooling_scratch_floats()
};

index_t segment_pooling_scratch_floats(index_t rows, index_t segments, index_t d);

void segment_pooling_cuda(SegmentPoolingCudaArgs const& args, GpuStream stream);

struct SegmentPoolingBackwardCudaArgs {
    Pooling pooling = Pooling::mean;
    DeviceMatrix x = {}; ///< [T, d]; read for max only
    PooledSegment const* segments = nullptr;
    index_t count = 0;
    DeviceMatrix dpooled; ///< [n, d] f32
    DeviceMatrix dx;      ///< [T, d]
};

void segment_pooling_backward_cuda(SegmentPoolingBackwardCudaArgs const& args, GpuStream stream);

} // namespace strandwave
