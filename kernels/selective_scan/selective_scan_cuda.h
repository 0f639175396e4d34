#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/cuda/row_blocks.h"
#include "kernels/selective_scan/selective_scan.h"
#include "lib/cuda/device_memory.h"

namespace strandwave {

/// Rows of a tile: what one thread walks. A record may be cut into calls at multiples of it without a change of bits.
inline constexpr index_t kScanTileRows = 256;

/// A backward pass starts from the state before every so many rows of a record.
inline constexpr index_t kScanStateRows = 32;

/// Floats of SelectiveScanCudaArgs::kept_states.
inline index_t scan_kept_states(index_t blocks, index_t d_inner, index_t d_state) {
    return (blocks * kBlockRows + kScanStateRows - 1) / kScanStateRows * d_inner * d_state;
}

/// Rows of one record whose tiles a GPU with so many multiprocessors walks all at the same time. With a few more, a
/// second round runs nearly empty.
index_t scan_wave_rows(index_t d_inner, int multiprocessors);

/// How the threads of a GPU share a scan. Bits do not depend on it.
enum class ScanForm {
    tiles,      ///< a thread takes a channel of a tile; tiles are walked twice, to chain them
    tile_lanes, ///< the same with four threads a channel, where there are few tiles
    segments    ///< four threads take a channel of a whole segment and walk it once, where there are many segments
};

/// What a scan's form depends on.
struct ScanExtent {
    index_t blocks;  ///< RowBlocks
    index_t longest; ///< no segment has more rows
    index_t d_inner;
    index_t d_state;
};

/// The form that keeps so many multiprocessors busiest.
ScanForm scan_form(ScanExtent const& extent, int multiprocessors);

/// What carries states from tile to tile of long records: one for each stream that runs scans, kept from call to call.
class ScanChain {
public:
    /// Of a tile: where its states come from, and the slot for those behind it.
    struct Link {
        std::int32_t from;
        std::int32_t final;
    };

    ScanChain() = default;
    /// For calls of up to so many row blocks, channels and states: 4 bytes for each state, channel and tile.
    ScanChain(index_t blocks, index_t d_inner, index_t d_state);

    Link* links() const noexcept { return links_.data(); }
    float* dt_sums() const noexcept { return dt_sums_.data(); }
    float* after() const noexcept { return after_.data(); }
    int multiprocessors() const noexcept { return multiprocessors_; } ///< of the GPU that it was made on
    bool holds(index_t links, index_t d_inner, index_t d_state) const noexcept {
        return links <= links_.size() && links * d_inner <= dt_sums_.size() &&
               links * d_inner * d_state <= after_.size();
    }

private:
    DeviceArray<Link> links_;
    DeviceArray<float> dt_sums_;
    DeviceArray<float> after_;
    int multiprocessors_ = 0;
};

/// The contract of selective_scan.h on the GPU, asynchronous on a stream.
/// u, delta, z and y are of one type, f32 or bf16; B and C of one type; sums, dt and state are fp32.
/// Precision: with f32 activations exponentials are within 2e-7 relative as on the CPU; with bf16 they are the special
/// function unit's (2 units in the last place of fp32).
/// Determinism: the same bits every run and for any other segments in the call. Cutting a record at multiples of
/// kScanTileRows gives the bits of one call; other cuts move the order in which tiles are combined (fp32 rounding).
/// How: a thread walks one channel through one tile, its states in registers. Records of several tiles are walked
/// twice: first only for what a tile does to any incoming state (a factor and a summand), then, once the tiles are
/// chained in the order of time, from each tile's exact initial state. In other forms (scan_form) four threads share a
/// channel, and y is the sum of the same four parts in the same order; or they walk a record once, with what each tile
/// does to any state beside the state itself.
struct SelectiveScanCudaArgs {
    DeviceMatrix u, delta, B, C, z, y; ///< as in SelectiveScanArgs; z empty: no gate
    float const* A = nullptr;          ///< [N, E]
    float const* D = nullptr;          ///< [E]
    float const* delta_bias = nullptr; ///< [E]; null = none
    index_t d_state = 0;               ///< N
    RowBlock const* blocks = nullptr;  ///< device memory: all blocks of the rows
    index_t block_count = 0;
    float* state = nullptr;  ///< [slots][N, E]; may be null if no block has a slot
    bool accumulate = false; ///< y += instead of y =
    /// delta holds dt itself, as dt_projection_cuda gives it: no bias, no softplus (which both walks would otherwise
    /// pay for). Only with z.
    bool delta_is_dt = false;
    index_t longest = 0; ///< no segment has more rows, which may save work; 0: not known
    /// Out, for the backward pass: h before every kScanStateRows-th row of a segment but its first, [N, E] each, the
    /// one before block b at b * kBlockRows / kScanStateRows; what stands for no such row is left alone. Null: not
    /// wanted.
    float* kept_states = nullptr;
};

void selective_scan_cuda(SelectiveScanCudaArgs const& args, ScanChain const& chain, GpuStream stream);

} // namespace strandwave
