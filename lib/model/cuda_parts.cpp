#include "lib/model/cuda_parts.h"

#include "kernels/band_power/band_power_cuda.h"
#include "kernels/norm/norm_cuda.h"
#include "lib/core/error.h"

namespace strandwave {

CudaNorm::CudaNorm(Norm const& norm)
    : weight(upload(norm.weight.data(), norm.weight.size())), bias(upload(norm.bias.data(), norm.bias.size())),
      kind(norm.kind), epsilon(norm.epsilon) {}

void CudaNorm::apply(DeviceMatrix x, DeviceMatrix y, GpuStream stream) const {
    NormCudaArgs args;
    args.x = x;
    args.y = y;
    args.weight = weight.data();
    args.bias = bias.data();
    args.epsilon = epsilon;
    args.centred = kind == NormKind::layer_norm;
    norm_cuda(args, stream);
}

CudaFrameEmbedding::CudaFrameEmbedding(FrameWeights const& weights)
    : linear_(weights.weight.view(), weights.bias.vector(), DType::f32, DType::f32) {
    if (weights.filters.rows > 0) { filters_ = LinearCuda(weights.filters.view(), {}, DType::f32, DType::f32); }
}

void CudaFrameEmbedding::apply(DeviceMatrix frames, DeviceMatrix pairs, DeviceMatrix powers, DeviceMatrix x,
                               GpuStream stream) const {
    if (filters_.empty()) { return linear_.apply(frames, x, false, stream); }
    filters_.apply(frames, pairs, false, stream);
    band_power_cuda(pairs, power_scale(frames.cols), powers, stream);
    linear_.apply(powers, x, false, stream);
}

namespace {

std::optional<MambaStepWeights> make_step_weights(CudaParts const& parts, ModelConfig const& c, DType dtype) {
    MambaStepShape const shape{dtype, c.n_layer, c.d_model, c.d_inner, c.d_state, c.d_conv, c.dt_rank};
    bool const plain = !c.bidirectional && !c.bias && !c.mixer_rms_epsilon && c.norm == NormKind::rms_norm;
    if (!plain || !MambaStepWeights::fit(shape)) { return {}; }
    std::vector<MambaStepLayer> layers;
    for (auto const& layer : parts.layers) {
        layers.push_back(layer.directions[0].mixer.step_layer());
        layers.back().norm = layer.norm.weight.data();
    }
    try {
        return MambaStepWeights(shape, layers, parts.final_norm.weight.data(), parts.final_norm.epsilon);
    } catch (Error const& error) {
        if (error.code() != ErrorCode::too_large) { throw; }
        return {};
    }
}

} // namespace

MambaStepWeights const* CudaParts::step_weights(ModelConfig const& config, DType dtype) const {
    std::call_once(step_weights_once_, [&] { step_weights_ = make_step_weights(*this, config, dtype); });
    return step_weights_ ? &*step_weights_ : nullptr;
}

CudaLayer upload_layer(ModelConfig const& config, LayerWeights const& weights, DType dtype) {
    CudaLayer layer;
    layer.norm = CudaNorm(weights.norm);
    layer.shared_projections = weights.shared_projections;
    std::shared_ptr<CudaMambaProjections const> projections;
    for (auto const& direction : weights.directions) {
        if (direction.projections) {
            projections = std::make_shared<CudaMambaProjections const>(*direction.projections, dtype);
        }
        layer.directions.push_back({CudaMambaMixer(config, direction.mixer, projections, dtype), direction.reverse});
    }
    return layer;
}

} // namespace strandwave
