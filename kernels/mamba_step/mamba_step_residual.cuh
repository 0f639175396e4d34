// The residual stream of mamba_step_cuda.cu. A block owns some of its rows; several groups of its warps hold them all,
// one row a lane, do the same with them, and share out to whom they send.
#pragma once

#include "kernels/mamba_step/mamba_step_block.cuh"
#include "kernels/mamba_step/mamba_step_lane.cuh"

namespace strandwave::step {

template <bool kFast>
class Residual {
public:
    __device__ __forceinline__ explicit Residual(Block const& block) {
        Layout const& l = block.layout();
        group_ = block.warp / l.owners;
        owner_ = block.warp - group_ * l.owners;
        sends_ = group_ < l.senders;
        local_ = owner_ * kWarp + block.lane;
        row_ = block.rank * l.rows + local_;
        owns_ = sends_ && local_ < l.rows;
        value_ = owns_ && row_ < l.d_model ? block.p.row[row_] : 0.0F;
        norms_ = block.p.norms + row_;
        weight_ = owns_ ? *norms_ : 0.0F;
    }

    /// Asks for the weight of the next norm.
    __device__ __forceinline__ void load_next_norm(Block const& block) {
        norms_ += block.layout().blocks * block.layout().rows;
        if (owns_) { weight_ = load_float(norms_); }
    }

    /// To all blocks: times the norm's weight, and its squares.
    __device__ __forceinline__ void send(Block const& block) const {
        if (!sends_) { return; }
        Layout const& l = block.layout();
        if (owns_) {
            float const value = value_ * weight_;
            float* const to = block.floats(block.p.shared.normed) + row_;
            for (int other = group_; other < l.blocks; other += l.senders) {
                block.send(value, to, other, kNormed);
            }
        }
        float const squares = lane_sum<kWarp>(value_ * value_);
        float* const to = block.floats(block.p.shared.squares) + block.rank * l.owners + owner_;
        int const other = group_ + block.lane * l.senders;
        if (other < l.blocks) { block.send(squares, to, other, kNormed); }
    }

    /// 1 over the root of the mean square, of what has been sent.
    __device__ __forceinline__ static float norm_scale(Block const& block) {
        static_assert(kMaxBlocks * kMaxOwners == 2 * kWarp);
        float const* const squares = block.floats(block.p.shared.squares) + block.lane;
        float const mean = fmaf(lane_sum<kWarp>(squares[0] + squares[kWarp]), block.p.one_by_d_model, block.p.epsilon);
        return kFast ? rsqrtf(mean) : 1.0F / sqrtf(mean);
    }

    /// Adds what the blocks have sent, and sends it on.
    __device__ __forceinline__ void update(Block const& block, int layer) {
        if (!sends_) { return; }
        block.await(kRows, layer);
        int const stride = block.layout().row_tasks * kTaskRows;
        if (owns_) { value_ += sum_column<kMaxBlocks>(block.floats(block.p.shared.outbox) + local_, stride); }
        send(block);
    }

    /// The final norm, with whose weight the residual was sent last.
    __device__ __forceinline__ void finish(Block const& block) const {
        block.await(kNormed, block.layout().n_layer);
        float const scale = norm_scale(block);
        if (group_ > 0 || !owns_ || row_ >= block.layout().d_model) { return; }
        Params const& p = block.p;
        float const normed = value_ * scale * weight_;
        if (p.normed != nullptr) { p.normed[row_] = normed; }
        if (p.pool_state == nullptr) { return; }
        // Past the L1 cache, as load_float.
        double const pooled = p.first ? static_cast<double>(normed)
                                      : pool(p.pooling, static_cast<double>(normed), __ldcg(p.pool_state + row_));
        p.pool_state[row_] = pooled;
        if (p.pooled != nullptr) { p.pooled[row_] = pooled; }
    }

private:
    __device__ __forceinline__ static double pool(Pooling pooling, double value, double before) {
        switch (pooling) {
        case Pooling::mean: return before + value;
        case Pooling::max: return before < value ? value : before;
        case Pooling::first: return before;
        case Pooling::last: return value;
        }
        return value;
    }

    int group_;
    int owner_; ///< which warp of the group
    bool sends_;
    int local_; ///< row within the block's; may lie behind the last one
    int row_;
    bool owns_;          ///< the row is the block's
    float value_;        ///< 0 where the model has no such row
    float weight_;       ///< of the norm that it is sent to
    float const* norms_; ///< that weight in memory
};

} // namespace strandwave::step
