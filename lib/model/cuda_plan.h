#pragma once

#include "kernels/cuda/row_blocks.h"
#include "kernels/pooling/pooling_cuda.h"
#include "lib/core/device.h"
#include "lib/core/dtype.h"
#include "lib/model/config.h"
#include "lib/model/session.h"
#include "lib/model/whole_record_plan.h"

#include <span>
#include <vector>

namespace strandwave {

/// A strand of a record that ends in a step, and where its running pool stands then.
struct EndedStrand {
    index_t result = 0;    ///< the record's place among the results of the feed
    index_t length = 0;    ///< rows of the whole record
    std::int32_t slot = 0; ///< pool slot
};

/// Rows that go through the model together on a GPU, packed without padding. The three lists are parallel.
struct CudaStep {
    index_t rows = 0;
    index_t blocks = 0;                  ///< RowBlocks that the segments make
    std::vector<StrandRows> strands;     ///< what the rows are
    std::vector<PackedSegment> segments; ///< with the slots of carried state
    std::vector<PoolSegment> pools;
    std::vector<EndedStrand> ended;
    index_t pool_slots = 0; ///< behind the lanes' own that the step uses
    bool carries = false;   ///< takes or leaves a lane's state: its layers run behind those of the step before
};

/// What a lane holds between steps. A record that starts takes the slot that the record before it does not use, since a
/// step may hold the end of the one and the start of the other, and kernels promise no order between them.
struct CudaLane {
    index_t length = 0;    ///< rows that its record has had
    std::int32_t slot = 0; ///< 2 * lane, or the one behind it
};

/// Bounds of a step: so many rows, and no more row blocks than one record of that length has, however short its records
/// are. A record that has to stand whole in a step may exceed them.
struct StepLimits {
    index_t rows = 0;        ///< of a multiple of kChunkUnit, or the bits of a record depend on the company that it has
    index_t segments = 4096; ///< and of pool slots; two strands may go one beyond
};

struct CudaFeedPlan {
    std::vector<CudaStep> steps;
    std::vector<RecordResult> results; ///< without their vectors
    bool lost = false;                 ///< some of the vectors, to a failure of the GPU
};

/// Cuts a feed of pieces with carried state. `lanes` are brought up to date.
CudaFeedPlan plan_pieces(std::span<Piece const> pieces, StepLimits const& limits, std::vector<CudaLane>& lanes);

/// Packs whole records, each strand a segment of its own. `together`: the strands of a record stand in one step.
CudaFeedPlan plan_records(std::span<Piece const> pieces, int strands, StepLimits const& limits, index_t lanes,
                          bool together);

/// Device bytes that each row of a step takes.
index_t device_bytes_per_row(ModelConfig const& config, DType dtype);

/// Rows of a step that suit a GPU with so many bytes free and so many multiprocessors, where three steps run at a time:
/// whole waves of the scan, enough to fill the chip, few enough to leave room.
index_t suitable_step_rows(ModelConfig const& config, DType dtype, index_t free_bytes, int multiprocessors);

/// The same for a GPU as it is now.
index_t suitable_step_rows(ModelConfig const& config, DType dtype, Device device);

} // namespace strandwave
