#pragma once

#include "kernels/mamba_step/mamba_step_cuda.h"
#include "lib/cuda/device_memory.h"
#include "lib/model/cuda_plan.h"
#include "lib/model/cuda_workspace.h"
#include "lib/model/executor.h"

#include <span>
#include <vector>

namespace strandwave {

/// Runs feeds of a single position, in one launch each, on a stream of its own, where the model, the GPU and what the
/// session wants to see allow it (MambaStepWeights::fit). A feed waits for the GPU only if it returns something or a
/// sink wants the position.
class CudaDecoder {
public:
    /// Keeps all of them.
    CudaDecoder(Model::Parts const& parts, SessionOptions const& options, CudaLaneStates const& states);
    ~CudaDecoder();
    CudaDecoder(CudaDecoder const&) = delete;
    CudaDecoder& operator=(CudaDecoder const&) = delete;

    bool takes(std::span<Piece const> pieces);

    /// A piece that it takes. All other work on the lane's state must be done. `lane` is brought up to date.
    std::vector<RecordResult> feed(FeedInput const& input, Piece const& piece, CudaLane& lane);

    /// Until all feeds are done; before anything else reads or writes carried state.
    void wait();

private:
    bool suits() const;

    Model::Parts const& parts_;
    SessionOptions const& options_;
    CudaLaneStates const& states_;
    bool suits_; ///< the session and, once weights have been asked for, the GPU
    bool sinks_;
    MambaStepWeights const* weights_ = nullptr;
    Stream stream_{true};
    bool busy_ = false;
    PinnedArray<float> normed_;  ///< [d_model]
    PinnedArray<double> pooled_; ///< [d_model]
};

} // namespace strandwave
