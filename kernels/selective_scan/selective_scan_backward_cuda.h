#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/row_blocks.h"
#include "kernels/selective_scan/selective_scan_backward.h"
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/cuda/device_memory.h"

#include <span>

namespace strandwave {

/// The shortest runs that a backward scan may be told to walk.
inline constexpr index_t kScanBackwardLeastRun = 128;

/// Device memory that a call works in: sums of tiles and states between them. One for each stream.
class ScanBackwardScratch {
public:
    ScanBackwardScratch() = default;
    /// For calls of up to so many row blocks.
    ScanBackwardScratch(index_t blocks, index_t d_inner, index_t d_state);

    char* data() const noexcept { return memory_.data(); }
    index_t bytes() const noexcept { return memory_.size(); }

private:
    DeviceArray<char> memory_;
};

/// The contract of selective_scan_backward.h on the GPU, asynchronous on a stream, with what selective_scan_cuda.h says
/// of types, slots and blocks: u, delta, z, dy, du, ddelta, dz and y are of one type, f32 or bf16, B, C, dB and dC of
/// one type; states, sums and all parameter gradients are fp32. Determinism: the same bits every run (no floating-point
/// atomics) and, but for the parameter gradients, in any company, with the same run_rows.
struct SelectiveScanBackwardCudaArgs {
    DeviceMatrix u, delta, B, C, z, dy; ///< z empty: no gate
    float const* A = nullptr;           ///< [N, E]
    float const* D = nullptr;           ///< [E]
    float const* delta_bias = nullptr;  ///< [E]; null = none
    index_t d_state = 0;                ///< N
    RowBlock const* blocks = nullptr;   ///< device memory; as in the forward pass, direction of time included
    index_t block_count = 0;
    /// Rows of a segment that are walked one after the other, a power of two. Segments of several runs need another
    /// pass over their rows; runs that are too few leave multiprocessors idle.
    index_t run_rows = 256;
    /// What selective_scan_cuda kept of the same inputs: saves a pass over the rows. Null: made again.
    float const* kept_states = nullptr;
    float const* initial = nullptr; ///< [slots][N, E] h before a segment, by RowBlock::initial; null: zeros
    float const* d_final = nullptr; ///< [slots][N, E] by RowBlock::final; null: zeros
    float* d_initial = nullptr;     ///< [slots][N, E] by RowBlock::initial; null: not wanted
    bool accumulate_gate = false;
    bool delta_is_dt = false; ///< delta holds dt itself; ddelta is still the gradient before the softplus:
                              ///< sigmoid(x) = 1 - exp(-softplus(x))
    DeviceMatrix du, ddelta, dB, dC, dz;
    DeviceMatrix y;               ///< empty = not wanted
    float* dA = nullptr;          ///< [N, E] +=
    float* dD = nullptr;          ///< [E] +=
    float* ddelta_bias = nullptr; ///< [E] +=; null = not wanted
};

/// The `run_rows` that keep a GPU busiest with these blocks (host memory): whole records where they are many, else
/// enough runs for all multiprocessors.
index_t scan_backward_run_rows(std::span<RowBlock const> blocks, index_t d_inner);

void selective_scan_backward_cuda(SelectiveScanBackwardCudaArgs const& args, ScanBackwardScratch const& scratch,
                                  GpuStream stream);

} // namespace strandwave
