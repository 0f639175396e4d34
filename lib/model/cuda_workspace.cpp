#include "lib/model/cuda_workspace.h"

namespace strandwave {

/// Hands out parts of one allocation. The first pass, over no memory, only counts.
struct CudaWorkspace::Carver {
    char* base = nullptr;
    index_t used = 0;

    template <class T>
    T* take(index_t count) {
        constexpr index_t kAlignment = 256;
        void* const part = base == nullptr ? nullptr : base + used;
        used += (count * static_cast<index_t>(sizeof(T)) + kAlignment - 1) / kAlignment * kAlignment;
        return static_cast<T*>(part);
    }

    DeviceMatrix matrix(DType dtype, index_t rows, index_t cols) {
        return {take<char>(rows * cols * dtype_bytes(dtype)), dtype, rows, cols};
    }
};

CudaWorkspace::CudaWorkspace(ModelConfig const& config, DType dtype, WorkspaceSize const& size) : size_(size) {
    Carver count;
    carve(config, dtype, count);
    memory_ = DeviceMemory(count.used);
    Carver carver{static_cast<char*>(memory_.data())};
    carve(config, dtype, carver);
    chain_ = ScanChain(block_capacity(), config.d_inner, config.d_state);
}

void CudaWorkspace::carve(ModelConfig const& c, DType dtype, Carver& carver) {
    index_t const rows = size_.rows;
    bool const both_ways = c.bidirectional;
    residual_ = carver.matrix(DType::f32, rows, c.d_model);
    normed_ = carver.matrix(dtype, rows, c.d_model);
    xz_[0] = carver.matrix(dtype, rows, 2 * c.d_inner);
    xz_[1] = both_ways && !c.tied_projections ? carver.matrix(dtype, rows, 2 * c.d_inner) : xz_[0];
    u_ = carver.matrix(dtype, rows, c.d_inner);
    dt_ = carver.matrix(dtype, rows, c.d_inner);
    dbc_ = carver.matrix(dtype, rows, c.dt_rank + 2 * c.d_state);
    y_ = both_ways ? carver.matrix(dtype, rows, c.d_inner) : u_; // one direction may write y over u
    bool const multiplies = both_ways && c.strategy == BidirectionalStrategy::multiply;
    for (auto& product : products_) {
        if (multiplies) { product = carver.matrix(DType::f32, rows, c.d_model); }
    }
    if (c.frame_length > 0) {
        frames_ = carver.matrix(DType::f32, rows, c.frame_length);
        filtered_ = carver.matrix(DType::f32, rows, 2 * c.n_bands);
        powers_ = carver.matrix(DType::f32, rows, c.n_bands);
    } else {
        tokens_ = carver.take<std::int32_t>(rows);
    }
    blocks_[0] = carver.take<RowBlock>(block_capacity());
    blocks_[1] = both_ways ? carver.take<RowBlock>(block_capacity()) : nullptr;
    pools_ = carver.take<PoolSegment>(size_.segments);
    pool_partial_ = carver.take<float>(pool_partial_floats(rows, size_.segments, c.d_model));
}

CudaMambaScratch CudaWorkspace::scratch(index_t rows) const {
    return {u_.rows_from(0, rows), dt_.rows_from(0, rows), dbc_.rows_from(0, rows), &chain_};
}

CudaLaneStates::CudaLaneStates(ModelConfig const& config, index_t slots, index_t pool_slots)
    : slots_(slots), conv_floats_((config.d_conv - 1) * config.d_inner), scan_floats_(config.d_state * config.d_inner),
      conv_(config.n_layer * slots * conv_floats_), scan_(config.n_layer * slots * scan_floats_),
      pools_(pool_slots * config.d_model) {}

CudaLayerState CudaLaneStates::layer(index_t i) const {
    if (slots_ == 0) { return {}; }
    return {conv_.data() + i * slots_ * conv_floats_, scan_.data() + i * slots_ * scan_floats_};
}

} // namespace strandwave
