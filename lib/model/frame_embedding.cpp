#include "lib/model/frame_embedding.h"

#include "kernels/band_power/band_power.h"

namespace strandwave {

FrameWeights::FrameWeights(ModelTensors const& tensors)
    : filters(tensors.filter_bank), weight(tensors.frame_embedding_weight), bias(tensors.frame_embedding_bias) {}

FrameEmbedding::FrameEmbedding(FrameWeights const& weights)
    : linear_(weights.weight.view(), weights.bias.vector(), DType::f32) {
    if (weights.filters.rows > 0) { filters_ = Linear(weights.filters.view(), {}, DType::f32); }
}

void FrameEmbedding::apply(Buffer<float>& scratch, View<float, 2> x) const {
    if (filters_.empty()) { return linear_.apply(scratch.view(x.rows, linear_.in()), x); }
    index_t const bands = linear_.in();
    float* const outputs = scratch.data() + x.rows * filters_.in();
    View<float, 2> const pairs(outputs, x.rows, 2 * bands);
    View<float, 2> const powers(outputs + x.rows * 2 * bands, x.rows, bands);
    filters_.apply(scratch.view(x.rows, filters_.in()), pairs);
    band_power({pairs, power_scale(filters_.in()), powers});
    linear_.apply(powers, x);
}

} // namespace strandwave
