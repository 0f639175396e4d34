#include "lib/model/model_parts.h"

#include "kernels/norm/norm.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/model/tensor_names.h"
#if STRANDWAVE_HAS_CUDA
#include "lib/model/cuda_parts.h"
#endif

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace strandwave {
namespace {

Buffer<float> read(StoredTensor const* tensor) {
    if (tensor == nullptr) { return {}; }
    Buffer<float> values(tensor->elements());
    read_f32(*tensor, values.data());
    return values;
}

Norm read_norm(ModelConfig const& config, StoredTensor const* weight, StoredTensor const* bias, bool mirrored) {
    Norm norm{read(weight), read(bias), config.norm, config.norm_epsilon};
    if (mirrored) {
        std::reverse(norm.weight.begin(), norm.weight.end());
        std::reverse(norm.bias.begin(), norm.bias.end());
    }
    return norm;
}

bool same_tensor(StoredTensor const* a, StoredTensor const* b) {
    return a == b || (a != nullptr && b != nullptr && a->bytes.data() == b->bytes.data());
}

bool shares_projections(ModelConfig const& config, LayerTensors const& tensors) {
    return tensors.reverse && config.strategy == BidirectionalStrategy::add &&
           same_tensor(tensors.forward.in_proj_weight, tensors.reverse->in_proj_weight) &&
           same_tensor(tensors.forward.out_proj_weight, tensors.reverse->out_proj_weight);
}

LayerWeights read_layer(ModelConfig const& config, LayerTensors const& tensors, bool mirrored) {
    LayerWeights layer;
    layer.norm = read_norm(config, tensors.norm_weight, tensors.norm_bias, mirrored);
    layer.shared_projections = !tensors.reverse || shares_projections(config, tensors);
    int const sharers = tensors.reverse && layer.shared_projections ? 2 : 1;
    layer.directions.push_back(
        {MambaWeights(tensors.forward), ProjectionWeights(tensors.forward, mirrored, sharers), mirrored});
    if (tensors.reverse) {
        std::optional<ProjectionWeights> projections;
        if (!layer.shared_projections) { projections.emplace(*tensors.reverse, mirrored, 1); }
        layer.directions.push_back({MambaWeights(*tensors.reverse), std::move(projections), !mirrored});
    }
    return layer;
}

ModelLayer pack_layer(ModelConfig const& config, LayerWeights weights, DType dtype) {
    ModelLayer layer;
    layer.norm = std::move(weights.norm);
    layer.shared_projections = weights.shared_projections;
    std::shared_ptr<MambaProjections const> projections;
    for (auto& direction : weights.directions) {
        if (direction.projections) {
            projections = std::make_shared<MambaProjections const>(*direction.projections, dtype);
        }
        layer.directions.push_back(
            {MambaMixer(config, std::move(direction.mixer), projections, dtype), direction.reverse});
    }
    return layer;
}

#if STRANDWAVE_HAS_CUDA
std::shared_ptr<CudaParts const> upload_parts(Model::Parts const& parts, FrameWeights const& frames,
                                              std::function<LayerWeights(index_t)> const& layer) {
    use_gpu(parts.device.gpu);
    auto cuda = std::make_shared<CudaParts>();
    cuda->embedding = upload(parts.embedding.data(), parts.embedding.size());
    if (frames.weight.rows > 0) { cuda->frame_embedding = CudaFrameEmbedding(frames); }
    for (index_t i = 0; i < parts.config.n_layer; ++i) {
        cuda->layers.push_back(upload_layer(parts.config, layer(i), parts.dtype));
    }
    cuda->final_norm = CudaNorm(parts.final_norm);
    wait_for_gpu(); // sessions run on streams of their own
    return cuda;
}
#else
std::shared_ptr<CudaParts const> upload_parts(Model::Parts const& parts, FrameWeights const&,
                                              std::function<LayerWeights(index_t)> const&) {
    throw Error(ErrorCode::device, parts.device.name() + ": built without CUDA");
}
#endif

/// The embedding of a mirrored stream: the complement's row, its channels in reverse order.
Buffer<float> mirror_embedding(Buffer<float> const& table, ModelConfig const& config) {
    Buffer<float> mirrored(table.size());
    for (index_t id = 0; id < config.vocab_size; ++id) {
        float const* row = table.data() + config.complement_map[static_cast<std::size_t>(id)] * config.d_model;
        std::reverse_copy(row, row + config.d_model, mirrored.data() + id * config.d_model);
    }
    return mirrored;
}

/// Learned numbers, a tensor that two names share counted once. Buffers such as the complement map are integers.
index_t count_parameters(TensorStore const& store, std::vector<std::string> const& extra) {
    std::set<void const*> counted;
    index_t parameters = 0;
    for (auto const& [name, tensor] : store.tensors()) {
        bool const floating = tensor.dtype == DType::f64 || tensor.dtype == DType::f32 || tensor.dtype == DType::f16 ||
                              tensor.dtype == DType::bf16;
        bool const known = std::find(extra.begin(), extra.end(), name) == extra.end();
        if (floating && known && counted.insert(tensor.bytes.data()).second) { parameters += tensor.elements(); }
    }
    return parameters;
}

} // namespace

void Norm::apply(View<float const, 2> x, View<float, 2> y) const {
    NormArgs const args{.x = x, .weight = weight.view(), .bias = bias.view(), .epsilon = epsilon, .y = y};
    kind == NormKind::rms_norm ? rms_norm(args) : layer_norm(args);
}

std::unique_ptr<Model::Parts const> load_parts(ModelConfig const& config, TensorStore& store,
                                               LoadOptions const& options) {
    auto parts = std::make_unique<Model::Parts>();
    parts->config = config;
    parts->dtype = options.dtype;
    parts->device = options.device;
    auto const tensors = find_model_tensors(config, store, options.ignore_extra);
    parts->parameters = count_parameters(store, tensors.extra);
    parts->embedding = read(tensors.embedding_weight);
    if (parts->mirrored(0)) { parts->embedding = mirror_embedding(parts->embedding, config); }
    FrameWeights const frames(tensors);
    parts->final_norm = read_norm(config, tensors.final_norm_weight, tensors.final_norm_bias, false);
    bool const tied = same_tensor(tensors.head_weight, tensors.embedding_weight) && !parts->mirrored(0);
    if (!tied) { parts->head_weight = read(tensors.head_weight); }
    parts->head_bias = read(tensors.head_bias);
    auto const layer = [&](index_t i) {
        auto weights = read_layer(config, tensors.layers[static_cast<std::size_t>(i)], parts->mirrored(i + 1));
        store.drop_pages();
        return weights;
    };
    if (options.device.is_gpu()) {
        parts->cuda = upload_parts(*parts, frames, layer);
        return parts;
    }
    if (frames.weight.rows > 0) { parts->frame_embedding = FrameEmbedding(frames); }
    for (index_t i = 0; i < config.n_layer; ++i) {
        parts->layers.push_back(pack_layer(config, layer(i), options.dtype));
    }
    return parts;
}

} // namespace strandwave
