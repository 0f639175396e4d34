#pragma once

#include "kernels/causal_conv1d/causal_conv1d_cuda.h"
#include "kernels/linear/linear_cuda.h"
#include "kernels/mamba_step/mamba_step_cuda.h"
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/cuda/device_memory.h"
#include "lib/mixers/mamba_weights.h"

#include <memory>
#include <optional>

namespace strandwave {

/// MambaProjections on the GPU. Products take `dtype`; the residual stream that `out` adds to is fp32.
struct CudaMambaProjections {
    LinearCuda in;
    LinearCuda out;

    CudaMambaProjections(ProjectionWeights const& weights, DType dtype);
};

/// Records of a step as one direction of time sees them.
struct CudaBlocks {
    RowBlock const* blocks = nullptr; ///< device memory
    index_t count = 0;
    index_t longest = 0; ///< SelectiveScanCudaArgs::longest
};

/// Carried state of one layer, [slots][...] in device memory; null for models that read whole records.
struct CudaLayerState {
    float* conv = nullptr; ///< [slots][d_conv - 1, d_inner]
    float* scan = nullptr; ///< [slots][d_state, d_inner]
};

/// What the rows of a step pass through between the projections, all of the activations' type. One a stream.
struct CudaMambaScratch {
    DeviceMatrix u;   ///< [rows, d_inner]
    DeviceMatrix dt;  ///< [rows, d_inner]
    DeviceMatrix dbc; ///< [rows, dt_rank + 2 d_state]
    ScanChain const* chain = nullptr;
};

/// The streams of a step. Scans keep the special function units busy, all other ops memory and tensor cores: while one
/// step scans on its patient stream, the urgent one of another step finds room beside it.
struct CudaStreams {
    Stream main{true};
    Stream scan{false};
    Event scan_may_begin;
    Event scan_done;
};

/// MambaMixer on the GPU: the same ops in the same order, asynchronous on a stream. Immutable.
class CudaMambaMixer {
public:
    CudaMambaMixer(ModelConfig const& config, MambaWeights const& weights,
                   std::shared_ptr<CudaMambaProjections const> projections, DType dtype);

    CudaMambaProjections const& projections() const noexcept { return *projections_; }

    /// All parameters but those of the norm before the mixer.
    MambaStepLayer step_layer() const noexcept;

    /// y `[rows, d_inner]` = (or +=, if `accumulate`) the gated scan of xz `[rows, 2 * d_inner]`. y may be scratch.u.
    /// In the order of streams.main.
    void scan(DeviceMatrix xz, CudaBlocks const& blocks, CudaLayerState const& state, CudaMambaScratch const& scratch,
              DeviceMatrix y, bool accumulate, CudaStreams& streams) const;

private:
    void project_dt_B_C(CudaMambaScratch const& scratch, GpuStream stream) const;

    index_t d_inner_;
    index_t d_state_;
    index_t dt_rank_;
    index_t d_conv_;
    std::optional<float> rms_epsilon_;
    std::shared_ptr<CudaMambaProjections const> projections_;
    DeviceArray<float> conv_weight_; ///< [d_conv, d_inner]
    DeviceArray<float> conv_bias_;   ///< [d_inner] or empty
    LinearCuda x_proj_;
    LinearCuda dt_proj_;         ///< its weight; the product is dt_projection_cuda's
    DeviceArray<float> dt_bias_; ///< [d_inner]
    DeviceArray<float> A_;       ///< [d_state, d_inner]
    DeviceArray<float> D_;       ///< [d_inner]
};

} // namespace strandwave
