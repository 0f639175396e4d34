// Who does what in mamba_step_cuda.cu, and so in which order its weights lie in memory.
//
// Each of a block's warps reads a run of memory of its own, layer by layer: units of 512 bytes, 16 for each lane. A
// layer of a warp that has `pairs` pairs of channels:
//   in:    for each chunk of columns, for each pair: a unit each for the rows x0, x1, z0, z1 of in_proj
//   front: four numbers of each lane a unit, for each four all pairs: the taps; then the convolution's bias and
//   x_proj's
//          columns, 16 rows a number
//   back:  in the same way A, D, dt's bias, and dt_proj's rows, 16 columns a number
//   out:   for each task, for each chunk of the block's channels: two units of 8 rows of out_proj
// A task is 16 rows of the new residual, all of one block, to which the sums go. In front and back, which are fp32,
// lanes 0 to 15 belong to a pair's first channel, 16 to 31 to its second. What does not exist (channels behind the last
// one, padding) is zeros and so adds nothing.
#pragma once

#include "lib/core/view.h"

namespace strandwave::step {

constexpr int kWarp = 32;
constexpr int kWarps = 8;
constexpr int kThreads = kWarp * kWarps;
constexpr int kMaxBlocks = 16;
constexpr int kMaxPairs = 8; ///< of channels, of a warp
constexpr int kMaxOwners = 4;
constexpr int kStates = 16; ///< the largest d_state: a lane each for both channels of a pair
constexpr int kTaps = 4;    ///< the largest d_conv; fewer taps stand behind zeros
constexpr int kUnitBytes = 512;
constexpr int kMaxOutBuffers = 6; ///< pairs of units of out_proj that are asked for at once
constexpr int kSlackBytes = kMaxOutBuffers * 2 * kUnitBytes;
constexpr int kTaskRows = 16;
constexpr int kFrontFields = 1; ///< numbers before x_proj's
constexpr int kBackFields = 3;  ///< numbers before dt_proj's

constexpr int divided_up(int a, int b) { return (a + b - 1) / b; }

/// The extents of a model and how they are shared out.
struct Layout {
    int blocks = 0; ///< of the cluster
    int n_layer = 0;
    int d_model = 0;
    int d_inner = 0;
    int d_state = 0;
    int d_conv = 0;
    int dt_rank = 0;

    int channels = 0;   ///< of d_inner, of a block
    int pairs = 0;      ///< of channels, of a warp
    int rows = 0;       ///< of the residual, of a block
    int row_tasks = 0;  ///< of a block's rows
    int tasks = 0;      ///< of a warp
    int owners = 0;     ///< warps that hold a block's rows of the residual, one a lane
    int senders = 0;    ///< groups of owners that hold the same rows and send them to different blocks
    int rank_rows = 0;  ///< 16 columns of dt_proj each
    int sums = 0;       ///< that x_proj makes: dt, B and C, each padded to 16
    int sum_warps = 0;  ///< that have one each in their lanes
    int sum_groups = 0; ///< of such warps, that have the same and send them to different blocks
    int block_bits = 0; ///< blocks is 1 << block_bits
    int in_chunks = 0;
    int out_chunks = 0;
    int front_units = 0; ///< of a pair
    int back_units = 0;
    int front_at = 0; ///< bytes of a layer before it
    int back_at = 0;
    int out_at = 0;
    int layer_bytes = 0;

    index_t warp_bytes() const { return static_cast<index_t>(n_layer) * layer_bytes; }
    /// A stream is read a few units beyond a layer's end.
    index_t bytes() const { return blocks * kWarps * warp_bytes() + kSlackBytes; }
};

/// Where things lie in a block's shared memory, in bytes.
struct SharedLayout {
    int partial = 0;  ///< float [kWarps][sums]: x_proj's sums over a warp's channels
    int inbox = 0;    ///< float [kMaxBlocks][sums]: over a block's
    int sums = 0;     ///< float [sums]: over all
    int y = 0;        ///< float [channels, padded to chunks]
    int outbox = 0;   ///< float [kMaxBlocks][row_tasks][kTaskRows]: out_proj's sums over a block's channels
    int normed = 0;   ///< float [d_model, padded to chunks]: the residual times the norm's weight
    int squares = 0;  ///< float [blocks][owners], padded to the most: sums of the residual's squares
    int barriers = 0; ///< one for each kind of exchange
    int bytes = 0;
};

} // namespace strandwave::step
