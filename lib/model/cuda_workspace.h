#pragma once

#include "kernels/cuda/device_matrix.h"
#include "kernels/selective_scan/selective_scan_cuda.h"
#include "lib/cuda/device_memory.h"
#include "lib/mixers/cuda_mamba_mixer.h"
#include "lib/model/cuda_plan.h"

#include <vector>

namespace strandwave {

/// How much a workspace holds.
struct WorkspaceSize {
    index_t rows = 0;
    index_t segments = 0; ///< of a step
};

/// All device memory that the steps of a session run in, planned and allocated at once: nothing is allocated while
/// steps run. Carried state is not here (CudaLaneStates), so that a workspace can be replaced by a larger one.
class CudaWorkspace {
public:
    CudaWorkspace() = default;
    /// Throws too_large if the GPU has not that much.
    CudaWorkspace(ModelConfig const& config, DType dtype, WorkspaceSize const& size);

    WorkspaceSize const& size() const noexcept { return size_; }

    /// The first `rows` rows of each matrix.
    DeviceMatrix residual(index_t rows) const { return residual_.rows_from(0, rows); }
    DeviceMatrix normed(index_t rows) const { return normed_.rows_from(0, rows); }
    DeviceMatrix xz(std::size_t copy, index_t rows) const { return xz_[copy].rows_from(0, rows); }
    DeviceMatrix y(index_t rows) const { return y_.rows_from(0, rows); }
    DeviceMatrix product(int factor, index_t rows) const { return products_[factor].rows_from(0, rows); }
    DeviceMatrix frames(index_t rows) const { return frames_.rows_from(0, rows); }
    DeviceMatrix filtered(index_t rows) const { return filtered_.rows_from(0, rows); }
    DeviceMatrix powers(index_t rows) const { return powers_.rows_from(0, rows); }
    CudaMambaScratch scratch(index_t rows) const;

    std::int32_t* tokens() const noexcept { return tokens_; }
    RowBlock* blocks(bool reverse) const noexcept { return blocks_[reverse ? 1 : 0]; }
    PoolSegment* pools() const noexcept { return pools_; }
    float* pool_partial() const noexcept { return pool_partial_; }
    index_t block_capacity() const noexcept { return size_.rows / kBlockRows + size_.segments; }

private:
    struct Carver;
    void carve(ModelConfig const& config, DType dtype, Carver& carver);

    WorkspaceSize size_;
    DeviceMemory memory_;
    ScanChain chain_;
    DeviceMatrix residual_, normed_, xz_[2], u_, dt_, dbc_, y_, products_[2], frames_, filtered_, powers_;
    std::int32_t* tokens_ = nullptr;
    RowBlock* blocks_[2] = {nullptr, nullptr};
    PoolSegment* pools_ = nullptr;
    float* pool_partial_ = nullptr;
};

/// Carried state of all lanes in device memory, two slots a lane; of a model that reads whole records, none. Running
/// pools have the same slots, and behind them some for the records that begin and end within a step.
class CudaLaneStates {
public:
    CudaLaneStates() = default;
    CudaLaneStates(ModelConfig const& config, index_t slots, index_t pool_slots);

    CudaLayerState layer(index_t i) const;
    double* pools() const noexcept { return pools_.data(); }      ///< [pool slots][d_model]
    index_t conv_floats() const noexcept { return conv_floats_; } ///< of one slot and layer
    index_t scan_floats() const noexcept { return scan_floats_; }

private:
    index_t slots_ = 0;
    index_t conv_floats_ = 0;
    index_t scan_floats_ = 0;
    DeviceArray<float> conv_; ///< [n_layer][slots][d_conv - 1, d_inner]
    DeviceArray<float> scan_; ///< [n_layer][slots][d_state, d_inner]
    DeviceArray<double> pools_;
};

} // namespace strandwave
