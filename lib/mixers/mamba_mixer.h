#pragma once

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/linear/linear.h"
#include "kernels/selective_scan/selective_scan.h"
#include "lib/core/buffer.h"
#include "lib/core/dtype.h"
#include "lib/mixers/mamba_weights.h"
#include "lib/model/config.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace strandwave {

/// The in- and out-projection of a mixer. Two directions may share one.
struct MambaProjections {
    Linear in;  ///< [d_model] -> x, z [2 * d_inner]
    Linear out; ///< [d_inner] -> [d_model]

    MambaProjections(ProjectionWeights const& weights, DType dtype);
};

/// What a block of rows passes through between the projections. One a thread; sized once.
struct MambaScratch {
    MambaScratch(ModelConfig const& config, index_t rows);

    Buffer<float> dbc;   ///< [rows, dt_rank + 2 d_state] out of x_proj
    Buffer<float> dt;    ///< [rows, dt_rank], the first columns of dbc, tight
    Buffer<float> delta; ///< [rows, d_inner]
};

/// Where a row block's records stand and where their state comes from and goes to.
struct MambaSegments {
    std::vector<ConvSegment> conv;
    std::vector<ScanSegment> scan;
};

/// One direction of a Mamba-1 block (Gu & Dao 2023, figure 3) between its projections: convolution, the input-dependent
/// dt, B and C, the scan and the gate. Falcon-Mamba's weightless RMS norm of dt, B, C included. Immutable.
class MambaMixer {
public:
    MambaMixer(ModelConfig const& config, MambaWeights weights, std::shared_ptr<MambaProjections const> projections,
               DType dtype);

    MambaProjections const& projections() const noexcept { return *projections_; }

    /// y `[rows, d_inner]` = the gated scan of xz `[rows, 2 * d_inner]`. Rows that no segment covers are padding: they
    /// come out as anything. `reverse`: time runs backwards through each segment.
    void scan(View<float const, 2> xz, MambaSegments const& segments, bool reverse, MambaScratch& scratch,
              View<float, 2> y) const;

private:
    void project_dt_B_C(View<float const, 2> u, MambaScratch& scratch) const;

    index_t d_inner_;
    index_t d_state_;
    index_t dt_rank_;
    std::optional<float> rms_epsilon_;
    std::shared_ptr<MambaProjections const> projections_;
    Buffer<float> conv_weight_; ///< [d_conv, d_inner]
    Buffer<float> conv_bias_;   ///< [d_inner] or empty
    Linear x_proj_;
    Linear dt_proj_;
    Buffer<float> dt_bias_; ///< [d_inner]
    Buffer<float> A_;       ///< [d_state, d_inner]
    Buffer<float> D_;       ///< [d_inner]
    index_t d_conv_;
};

} // namespace strandwave
