#pragma once

#include "lib/model/cuda_parts.h"
#include "lib/model/cuda_workspace.h"
#include "lib/model/executor.h"

#include <memory>
#include <vector>

namespace strandwave {

/// Runs one step after another on streams and memory of its own. An executor has several of them, so that while one
/// step scans, another one's projections and convolutions find room on the chip. Nothing here waits for the GPU but
/// `collect`, and sinks.
class CudaTrack {
public:
    /// `first_pool_slot`: where the pool slots of this track's steps begin.
    CudaTrack(Model::Parts const& parts, SessionOptions const& options, CudaLaneStates const& states,
              index_t first_pool_slot);
    ~CudaTrack();
    CudaTrack(CudaTrack const&) = delete;
    CudaTrack& operator=(CudaTrack const&) = delete;

    /// Memory for steps of so many rows and segments. Throws too_large, and is without memory then.
    void allocate(index_t rows, index_t segments);
    void release();
    index_t rows() const noexcept { return workspace_.size().rows; }

    /// Puts a step on the streams; the results of the track's step before must have been collected. `before`: the track
    /// that ran the last step which carried state, in case this one does. `step` must live until it is collected.
    void run(CudaStep const& step, FeedInput const& input, CudaTrack const& before);

    /// Waits for the track's step, if there is one, and adds its records' vectors to the results of the feed.
    void collect(std::vector<RecordResult>& results);

    /// Waits for the track's step and forgets it: after a failure.
    void abandon();

private:
    struct Staging;

    void stage(CudaStep const& step, FeedInput const& input);
    void stage_tokens(StrandRows const& strand, FeedInput const& input);
    void stage_frames(StrandRows const& strand, FeedInput const& input);
    void embed(CudaStep const& step);
    void run_layer(index_t number, CudaStep const& step);
    void project_out(CudaMambaMixer const& mixer, CudaLayer const& layer, std::size_t d, DeviceMatrix y);
    void tap(index_t layer, CudaStep const& step);
    void show(index_t layer, CudaStep const& step, bool mirrored);
    void fetch_pools(CudaStep const& step);

    Model::Parts const& parts_;
    CudaParts const& cuda_;
    ModelConfig const& config_;
    SessionOptions const& options_;
    Taps taps_;
    CudaLaneStates const& states_;
    index_t first_pool_slot_;
    CudaStreams streams_;
    CudaWorkspace workspace_;
    std::unique_ptr<Staging> staging_;
    CudaBlocks blocks_[2];          ///< of the present step: forward, reverse
    std::vector<Event> layer_done_; ///< [n_layer + 1]: what a layer carries is left; the last: the pools
    Event done_;
    CudaStep const* step_ = nullptr; ///< not collected yet
};

} // namespace strandwave
