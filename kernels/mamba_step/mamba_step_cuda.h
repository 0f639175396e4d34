#pragma once

#include "kernels/pooling/pooling.h"
#include "lib/core/dtype.h"
#include "lib/cuda/device_memory.h"

#include <cstdint>
#include <memory>
#include <span>

namespace strandwave {

/// Extents of a causal Mamba-1 model with RMS norms, without biases in in_proj and out_proj, and without norms on dt, B
/// and C.
struct MambaStepShape {
    DType dtype = DType::f32; ///< of the four projections: f32 or bf16
    index_t n_layer = 0;
    index_t d_model = 0;
    index_t d_inner = 0;
    index_t d_state = 0;
    index_t d_conv = 0;
    index_t dt_rank = 0;
};

/// The parameters of a layer, in device memory.
struct MambaStepLayer {
    float const* norm = nullptr;        ///< [d_model]
    void const* in_proj = nullptr;      ///< [2 d_inner, d_model] of the shape's dtype, as the other projections
    float const* conv_weight = nullptr; ///< [d_conv, d_inner]
    float const* conv_bias = nullptr;   ///< [d_inner]; null = none
    void const* x_proj = nullptr;       ///< [dt_rank + 2 d_state, d_inner]
    void const* dt_proj = nullptr;      ///< [d_inner, dt_rank]
    float const* dt_bias = nullptr;     ///< [d_inner]; null = none
    float const* A = nullptr;           ///< [d_state, d_inner]
    float const* D = nullptr;           ///< [d_inner]
    void const* out_proj = nullptr;     ///< [d_model, d_inner]
};

/// A model's parameters in the order in which mamba_step_cuda reads them: a copy, in memory of the GPU that was current
/// when it was made. Immutable; one may run on many streams.
class MambaStepWeights {
public:
    /// Whether mamba_step_cuda can run such a model on the current GPU: it needs thread block clusters of 16 or 8
    /// (compute capability 9.0 and this code compiled for it), d_state <= 16, d_conv <= 4, dt_rank <= 224, and up to
    /// 128 of d_inner and of d_model for each block of the cluster.
    static bool fit(MambaStepShape const& shape);

    /// `final_norm` [d_model]; one epsilon for all norms. Reads device memory, and returns when it has been read.
    /// Throws unsupported (it does not fit), too_large.
    MambaStepWeights(MambaStepShape const& shape, std::span<MambaStepLayer const> layers, float const* final_norm,
                     float epsilon);
    ~MambaStepWeights();
    MambaStepWeights(MambaStepWeights&&) noexcept;
    MambaStepWeights& operator=(MambaStepWeights&&) noexcept;

    MambaStepShape const& shape() const noexcept;

    struct Impl; ///< private to this op
    Impl const& impl() const noexcept { return *impl_; }

private:
    std::unique_ptr<Impl const> impl_;
};

/// One row of one record through all layers and the final norm in one launch, asynchronous on a stream:
///   x = embedding[token]; for every layer: x += out_proj(scan(conv(in_proj(norm(x)))));  normed = final_norm(x)
/// which is what embedding.h, norm.h, linear.h, causal_conv1d.h and selective_scan.h say of a segment of one row.
/// Precision: weights are of the shape's dtype; all activations and sums are fp32, so that with bf16 weights a result
/// is closer to that of fp32 than the ordinary ops', which round activations to bf16. Exponentials as in
/// selective_scan_cuda.h: exact for f32, the special function unit's for bf16.
/// Determinism: the same bits every run. They are not those of the ordinary ops, whose sums stand in another order.
/// State: slots as in causal_conv1d_cuda.h and selective_scan_cuda.h. `final` may be `initial`; no other slot is
/// touched.
/// How: one cluster of thread blocks, each with its share of d_inner, of in_proj's rows and of out_proj's columns.
/// Weights go from the L2 cache to registers, asked for before they are needed; of a model that is too large to stay in
/// that cache, a layer ahead from memory to it. Blocks tell each other numbers through distributed shared memory, three
/// times a layer: partial sums of x_proj, those of out_proj, and the new residual.
/// The kernel may begin while a kernel before it in the stream still runs, but then touches nothing that is not
/// constant: parameters must be there before the step is put on the stream.
struct MambaStepArgs {
    float const* embedding = nullptr; ///< [vocabulary, d_model]
    std::int32_t token = 0;
    float* conv_state = nullptr; ///< [n_layer][slots][d_conv - 1, d_inner]
    float* scan_state = nullptr; ///< [n_layer][slots][d_state, d_inner]
    index_t slots = 0;
    std::int32_t initial = -1; ///< slot of the state before the row; negative: zeros
    std::int32_t final = -1;   ///< slot that takes the state behind the row; negative: not wanted
    float* normed = nullptr;   ///< [d_model] out, in device or page-locked host memory; null: not wanted
    Pooling pooling = Pooling::mean;
    index_t seen = 0;             ///< rows of the record before this one
    double* pool_state = nullptr; ///< [d_model] running pool, as pool_accumulate of pooling.h; null: not wanted
    double* pooled = nullptr;     ///< [d_model] a copy of the pool behind the row, as `normed`; null: not wanted
};

void mamba_step_cuda(MambaStepWeights const& weights, MambaStepArgs const& args, GpuStream stream);

} // namespace strandwave
