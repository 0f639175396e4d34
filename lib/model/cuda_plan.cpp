#include "lib/model/cuda_plan.h"

#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/cuda/gpus.h"

#include <algorithm>

namespace strandwave {
namespace {

class Planner {
public:
    Planner(StepLimits const& limits, index_t lanes) : limits_(limits), lane_slots_(2 * lanes) {}

    /// For a segment of so many rows.
    CudaStep& step_with_room(index_t rows) {
        bool const full = plan_.steps.empty() || rows_left() < rows || blocks_left() < blocks_of(rows) ||
                          static_cast<index_t>(plan_.steps.back().segments.size()) >= limits_.segments ||
                          plan_.steps.back().pool_slots >= limits_.segments;
        return full ? new_step() : plan_.steps.back();
    }

    static index_t blocks_of(index_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }
    index_t blocks_left() const { return limits_.rows / kBlockRows - plan_.steps.back().blocks; }

    CudaStep& new_step() { return plan_.steps.emplace_back(); }
    CudaStep& last_step() { return plan_.steps.back(); }
    std::size_t steps() const { return plan_.steps.size(); }
    index_t rows_left() const { return plan_.steps.empty() ? 0 : limits_.rows - plan_.steps.back().rows; }

    /// A pool slot of this step alone.
    std::int32_t fresh_slot(CudaStep& step) const { return static_cast<std::int32_t>(lane_slots_ + step.pool_slots++); }

    void place(CudaStep& step, StrandRows strand, PackedSegment segment, PoolSegment pool) const {
        strand.begin = segment.begin = pool.begin = step.rows;
        segment.length = pool.length = strand.length;
        step.rows += strand.length;
        step.blocks += blocks_of(strand.length);
        step.strands.push_back(strand);
        step.segments.push_back(segment);
        step.pools.push_back(pool);
    }

    index_t add_result(index_t lane, index_t length) {
        plan_.results.push_back({lane, length, {}});
        return static_cast<index_t>(plan_.results.size()) - 1;
    }

    CudaFeedPlan take() { return std::move(plan_); }

private:
    StepLimits limits_;
    index_t lane_slots_;
    CudaFeedPlan plan_;
};

/// Cuts pieces of records with carried state.
class PiecePlanner {
public:
    PiecePlanner(StepLimits const& limits, std::vector<CudaLane>& lanes)
        : planner_(limits, static_cast<index_t>(lanes.size())), lanes_(lanes), left_in_(lanes.size()) {}

    void add(Piece const& piece, index_t number) {
        auto& lane = lanes_[static_cast<std::size_t>(piece.lane)];
        if (piece.first) { lane.length = 0; }
        index_t left = piece.length;
        do {
            left -= add_part(piece, number, left, lane);
        } while (left > 0);
    }

    CudaFeedPlan take() { return planner_.take(); }

private:
    /// The next rows of a piece, into a step with room for one at least. Returns how many.
    index_t add_part(Piece const& piece, index_t number, index_t left, CudaLane& lane) {
        bool const starts = lane.length == 0;
        CudaStep* step = &planner_.step_with_room(std::min(left, to_next_cut(lane)));
        auto& left_in = left_in_[static_cast<std::size_t>(piece.lane)];
        bool const same_step = !starts && left_in.steps == planner_.steps();
        bool const goes_on = same_step && left_in.segment + 1 == step->segments.size();
        // What one segment leaves is not another one's start in the same step.
        if (same_step && !goes_on) { step = &planner_.new_step(); }
        index_t const length = part_length(left, lane);
        bool const ends = length == left && piece.last;
        if (starts && !ends && length > 0) { lane.slot ^= 1; } // what starts and ends here needs no slot of its lane
        std::int32_t pool = starts && ends ? planner_.fresh_slot(*step) : lane.slot;
        if (goes_on) {
            extend(*step, length);
            if (ends) { pool = end_last_segment(*step, lane); }
        } else if (length > 0) {
            planner_.place(*step, {number, input_, 0, 0, length},
                           {0, 0, starts ? -1 : lane.slot, ends ? -1 : lane.slot}, {0, 0, lane.length, pool});
        }
        if (length > 0) { left_in = {planner_.steps(), step->segments.size() - 1}; }
        lane.length += length;
        input_ += length;
        if (ends) { step->ended.push_back({planner_.add_result(piece.lane, lane.length), lane.length, pool}); }
        step->carries = step->carries || !(starts && ends);
        return length;
    }

    /// Rows to where a record may be cut without a change of bits.
    static index_t to_next_cut(CudaLane const& lane) { return kChunkUnit - lane.length % kChunkUnit; }

    /// Of what is left of a piece, the rows that the step takes: all, or as many as end where a record may be cut.
    index_t part_length(index_t left, CudaLane const& lane) const {
        index_t const room = std::min(planner_.rows_left(), planner_.blocks_left() * kBlockRows);
        if (left <= room) { return left; }
        index_t const first = to_next_cut(lane);
        return first + (room - first) / kChunkUnit * kChunkUnit;
    }

    /// The step's last segment goes on.
    static void extend(CudaStep& step, index_t length) {
        index_t const before = step.segments.back().length;
        step.blocks += Planner::blocks_of(before + length) - Planner::blocks_of(before);
        step.rows += length;
        step.strands.back().length += length;
        step.segments.back().length += length;
        step.pools.back().length += length;
    }

    /// And ends with its record. One that began in this step too gives its lane's slot back: another record may take it
    /// yet in the same step. Returns the pool slot.
    std::int32_t end_last_segment(CudaStep& step, CudaLane& lane) const {
        step.segments.back().final = -1;
        auto& pool = step.pools.back();
        if (pool.seen == 0) {
            lane.slot ^= 1;
            pool.slot = planner_.fresh_slot(step);
        }
        return pool.slot;
    }

    /// Where a lane's record stood last: how many steps there were, and which segment of the last one.
    struct Position {
        std::size_t steps = 0;
        std::size_t segment = 0;
    };

    Planner planner_;
    std::vector<CudaLane>& lanes_;
    std::vector<Position> left_in_;
    index_t input_ = 0;
};

} // namespace

CudaFeedPlan plan_pieces(std::span<Piece const> pieces, StepLimits const& limits, std::vector<CudaLane>& lanes) {
    PiecePlanner planner(limits, lanes);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        planner.add(pieces[i], static_cast<index_t>(i));
    }
    return planner.take();
}

CudaFeedPlan plan_records(std::span<Piece const> pieces, int strands, StepLimits const& limits, index_t lanes,
                          bool together) {
    Planner planner(limits, lanes);
    index_t input = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        index_t const length = pieces[i].length;
        index_t const result = planner.add_result(pieces[i].lane, length);
        for (int strand = 0; strand < strands; ++strand) {
            bool const beside_the_first = together && strand > 0;
            CudaStep& step =
                beside_the_first ? planner.last_step() : planner.step_with_room((together ? strands : 1) * length);
            PoolSegment pool;
            pool.slot = planner.fresh_slot(step);
            step.ended.push_back({result, length, pool.slot});
            if (length > 0) {
                planner.place(step, {static_cast<index_t>(i), input, strand, 0, length}, PackedSegment{}, pool);
            }
        }
        input += length;
    }
    return planner.take();
}

index_t device_bytes_per_row(ModelConfig const& c, DType dtype) {
    index_t const element = dtype_bytes(dtype);
    index_t const directions = c.bidirectional ? 2 : 1;
    index_t const in_proj_copies = c.tied_projections ? 1 : directions;
    index_t const activations = c.d_model + 2 * c.d_inner * in_proj_copies + (1 + directions) * c.d_inner + c.dt_rank +
                                2 * c.d_state; // normed, xz, u (and y), delta, dbc
    index_t const products = c.strategy == BidirectionalStrategy::multiply ? 2 * c.d_model : 0;
    index_t const mail = c.d_inner * c.d_state / 32; // the scan's, from tile to tile
    index_t const input = 4 * std::max<index_t>(c.frame_floats(), 1);
    return element * activations + 4 * (c.d_model + products) + mail + input + 16;
}

index_t suitable_step_rows(ModelConfig const& config, DType dtype, index_t free_bytes, int multiprocessors) {
    constexpr index_t kMostRows = 64 << 10;
    constexpr index_t kMostBytes = 768 << 20;
    index_t const bytes = std::min(kMostBytes, free_bytes / 5);
    index_t const rows = std::min(kMostRows, bytes / device_bytes_per_row(config, dtype));
    index_t const wave = scan_wave_rows(config.d_inner, multiprocessors);
    index_t const whole = rows >= wave ? rows / wave * wave : rows / kChunkUnit * kChunkUnit;
    return std::max(whole, 4 * kChunkUnit);
}

index_t suitable_step_rows(ModelConfig const& config, DType dtype, Device device) {
    use_gpu(device.gpu);
    return suitable_step_rows(config, dtype, free_device_bytes(), find_gpu(device.gpu).multiprocessors);
}

} // namespace strandwave
