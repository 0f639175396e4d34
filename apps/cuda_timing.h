#pragma once

#include "apps/bench_measure.h"
#include "kernels/cuda/device_matrix.h"
#include "lib/cuda/device_memory.h"
#include "lib/cuda/gpus.h"
#include "lib/cuda/stream.h"

#include <functional>
#include <string>

namespace strandwave {

/// Seconds of one call of `body`, which puts work on `stream` of the current GPU: by events around enough calls for the
/// clock, the median of `runs` after a first one that loads kernels. Calls follow each other without a pause, so a call
/// that is shorter than its launch takes as long as the launch.
double time_on_gpu(int runs, GpuStream stream, std::function<void()> const& body);

/// Memory of the current GPU with random numbers, as an op's input or output.
class RandomMatrix {
public:
    RandomMatrix(DType dtype, index_t rows, index_t cols, double low = -1.0, double high = 1.0);
    DeviceMatrix matrix() const noexcept { return matrix_; }
    float const* floats() const noexcept { return matrix_.as<float>(); } ///< of an f32 matrix: parameters of an op
    double bytes() const noexcept { return static_cast<double>(memory_.bytes()); }

private:
    DeviceMemory memory_;
    DeviceMatrix matrix_;
};

/// What a GPU can do at most.
struct GpuCeilings {
    double bytes_per_s = 0; ///< read and written, by copies of 1 GiB
    double flop_per_s = 0;  ///< of a matrix product 8192^3 of `dtype`
    double exps_per_s = 0;  ///< 16 a clock and multiprocessor at the highest clock: documented, not measured
    DType dtype = DType::f32;
};
GpuCeilings measure_ceilings(Gpu const& gpu, DType dtype, int runs);
std::string describe(GpuCeilings const& ceilings); ///< one line for people

/// Sets `floor_s` and `bound` of an op from its work.
void set_floor(OpTiming& op, GpuCeilings const& ceilings);

/// Records of one length, packed, and the channels that they have.
struct PackedShape {
    index_t records = 1;
    index_t length = 0;
    index_t d_inner = 0;
    index_t d_state = 16;
    index_t d_conv = 4;
    index_t dt_rank = 16;
    bool carried = false; ///< a state comes in and goes out with each record

    index_t rows() const noexcept { return records * length; }
};

/// The scan and the convolution of that shape, their inputs laid out as in a model: z and x are halves of one matrix, B
/// and C columns of another. With `seconds`, `rows`, `work` and one call.
/// `delta_is_dt`: as in a model, where dt_projection_cuda has done bias and softplus.
OpTiming time_scan(PackedShape const& shape, DType dtype, int runs, bool delta_is_dt = false);
OpTiming time_conv(PackedShape const& shape, DType dtype, int runs);

} // namespace strandwave
