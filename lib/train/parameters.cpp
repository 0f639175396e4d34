#include "lib/train/parameters.h"

#include "kernels/adamw/adamw.h"
#include "lib/checkpoint/safetensors.h"
#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"
#include "lib/model/model_parts.h"
#include "lib/model/tensor_names.h"

#include <algorithm>
#include <deque>
#include <numeric>

namespace strandwave {
namespace {

index_t padded(index_t size) { return (size + kParameterBlock - 1) / kParameterBlock * kParameterBlock; }

/// Tied tensors are one, or two names of the same bytes.
bool same_tensor(StoredTensor const* a, StoredTensor const* b) { return a == b || a->bytes.data() == b->bytes.data(); }

/// How a tensor is arranged and treated, beside its shape.
struct Traits {
    bool decay = false;
    bool transposed = false;
    bool flip_rows = false;
    bool flip_cols = false;
};

/// Adds tensors to the list, those of a store by their address.
class Finder {
public:
    Finder(ModelParameters& parameters, TensorStore const& store) : parameters_(parameters), store_(store) {}

    void enter(index_t layer) { layer_ = layer; }

    ParameterId add(StoredTensor const* tensor, Traits const& traits = {}) {
        if (tensor == nullptr) { return kNone; }
        auto const place = std::find_if(tensors_.begin(), tensors_.end(),
                                        [&](StoredTensor const* known) { return same_tensor(known, tensor); });
        if (place != tensors_.end()) { return place - tensors_.begin(); }
        tensors_.push_back(tensor);
        parameters_.tensors.push_back(describe(*tensor, traits));
        parameters_.size += padded(tensor->elements());
        return static_cast<ParameterId>(tensors_.size()) - 1;
    }

private:
    Parameter describe(StoredTensor const& tensor, Traits const& traits) const {
        Parameter p;
        p.name = name_of(tensor);
        p.shape = tensor.shape;
        p.rows = tensor.shape.size() > 1 ? tensor.shape.front() : 1;
        p.cols = p.rows == 0 ? 0 : tensor.elements() / p.rows;
        if (traits.transposed) { std::swap(p.rows, p.cols); }
        p.offset = parameters_.size;
        p.layer = layer_;
        p.decay = traits.decay;
        p.transposed = traits.transposed;
        p.flip_rows = traits.flip_rows;
        p.flip_cols = traits.flip_cols;
        return p;
    }

    std::string name_of(StoredTensor const& tensor) const {
        for (auto const& [name, stored] : store_.tensors()) {
            if (&stored == &tensor) { return name; }
        }
        return {};
    }

    ModelParameters& parameters_;
    TensorStore const& store_;
    std::vector<StoredTensor const*> tensors_;
    index_t layer_ = 0;
};

MixerParameters find_mixer(Finder& find, MixerTensors const& tensors, bool reverse) {
    MixerParameters mixer;
    mixer.conv_weight = find.add(tensors.conv1d_weight, {.decay = true, .transposed = true});
    mixer.conv_bias = find.add(tensors.conv1d_bias);
    mixer.x_proj = find.add(tensors.x_proj_weight, {.decay = true});
    mixer.dt_proj = find.add(tensors.dt_proj_weight, {.decay = true});
    mixer.dt_bias = find.add(tensors.dt_proj_bias);
    mixer.A_log = find.add(tensors.A_log);
    mixer.D = find.add(tensors.D);
    mixer.reverse = reverse;
    return mixer;
}

BranchParameters find_branch(Finder& find, MixerTensors const& tensors, bool mirrored, bool reverse) {
    BranchParameters branch;
    branch.in_proj = find.add(tensors.in_proj_weight, {.decay = true, .flip_cols = mirrored});
    branch.in_bias = find.add(tensors.in_proj_bias);
    branch.out_proj = find.add(tensors.out_proj_weight, {.decay = true, .flip_rows = mirrored});
    branch.out_bias = find.add(tensors.out_proj_bias, {.flip_cols = mirrored});
    branch.mixers.push_back(find_mixer(find, tensors, reverse));
    return branch;
}

LayerParameters find_layer(Finder& find, LayerTensors const& tensors, bool mirrored) {
    LayerParameters layer;
    layer.norm_weight = find.add(tensors.norm_weight, {.flip_cols = mirrored});
    layer.norm_bias = find.add(tensors.norm_bias, {.flip_cols = mirrored});
    layer.branches.push_back(find_branch(find, tensors.forward, mirrored, mirrored));
    if (!tensors.reverse) { return layer; }
    bool const shared = same_tensor(tensors.reverse->in_proj_weight, tensors.forward.in_proj_weight) &&
                        same_tensor(tensors.reverse->out_proj_weight, tensors.forward.out_proj_weight);
    if (shared) {
        layer.branches.front().mixers.push_back(find_mixer(find, *tensors.reverse, !mirrored));
    } else {
        layer.branches.push_back(find_branch(find, *tensors.reverse, mirrored, !mirrored));
    }
    return layer;
}

void check_supported(ModelConfig const& config, bool mirrored_embedding) {
    if (config.bidirectional && config.strategy != BidirectionalStrategy::add) {
        throw Error(ErrorCode::unsupported, "a model whose directions are multiplied cannot be trained");
    }
    if (mirrored_embedding && config.head == HeadKind::language_model) {
        throw Error(ErrorCode::unsupported, "an RC-equivariant language model of " + std::to_string(config.n_layer) +
                                                " layers cannot be trained: take an even number of layers");
    }
}

/// Calls move(place in the checkpoint, place in the vector of parameters) for every element of a tensor.
template <class Move>
void for_each_element(Parameter const& p, Move const& move) {
    for (index_t r = 0; r < p.rows; ++r) {
        index_t const row = p.flip_rows ? p.rows - 1 - r : r;
        for (index_t c = 0; c < p.cols; ++c) {
            index_t const col = p.flip_cols ? p.cols - 1 - c : c;
            move(p.transposed ? col * p.rows + row : row * p.cols + col, p.offset + r * p.cols + c);
        }
    }
}

/// The complement's row for each row of the embedding of a mirrored stream.
void swap_complements(ModelParameters const& parameters, std::span<float> values) {
    Parameter const& p = parameters[parameters.embedding];
    auto const& map = parameters.config.complement_map;
    for (index_t id = 0; id < p.rows; ++id) {
        index_t const other = map[static_cast<std::size_t>(id)];
        if (other <= id) { continue; }
        float* row = values.data() + p.offset + id * p.cols;
        std::swap_ranges(row, row + p.cols, values.data() + p.offset + other * p.cols);
    }
}

bool embedding_is_mirrored(ModelParameters const& parameters) {
    return parameters.embedding != kNone && parameters[parameters.embedding].flip_cols;
}

} // namespace

index_t ModelParameters::count() const {
    return std::accumulate(tensors.begin(), tensors.end(), index_t{0},
                           [](index_t sum, Parameter const& p) { return sum + p.rows * p.cols; });
}

ModelParameters find_parameters(ModelConfig const& config, TensorStore const& store) {
    ModelParameters parameters;
    parameters.config = config;
    Model::Parts mirror;
    mirror.config = config;
    check_supported(config, mirror.mirrored(0));
    auto const tensors = find_model_tensors(config, store);
    Finder find(parameters, store);
    parameters.embedding = find.add(tensors.embedding_weight, {.decay = true, .flip_cols = mirror.mirrored(0)});
    // Without decay: a floor of power (band_power.h) gives the size of a filter a meaning.
    parameters.filter_bank = find.add(tensors.filter_bank);
    parameters.frame_weight = find.add(tensors.frame_embedding_weight, {.decay = true});
    parameters.frame_bias = find.add(tensors.frame_embedding_bias);
    for (index_t i = 0; i < config.n_layer; ++i) {
        find.enter(i + 1);
        parameters.layers.push_back(
            find_layer(find, tensors.layers[static_cast<std::size_t>(i)], mirror.mirrored(i + 1)));
    }
    find.enter(config.n_layer + 1);
    parameters.final_norm_weight = find.add(tensors.final_norm_weight);
    parameters.final_norm_bias = find.add(tensors.final_norm_bias);
    parameters.head_weight = find.add(tensors.head_weight, {.decay = true});
    parameters.head_bias = find.add(tensors.head_bias);
    return parameters;
}

std::vector<float> read_parameters(ModelParameters const& parameters, TensorStore const& store) {
    std::vector<float> values(static_cast<std::size_t>(parameters.size), 0.0F);
    for (auto const& p : parameters.tensors) {
        auto const stored = read_f32(*store.find(p.name));
        for_each_element(p, [&](index_t from, index_t to) {
            values[static_cast<std::size_t>(to)] = stored[static_cast<std::size_t>(from)];
        });
    }
    if (embedding_is_mirrored(parameters)) { swap_complements(parameters, values); }
    return values;
}

void write_parameters(ModelParameters const& parameters, std::span<float const> values, TensorStore const& store,
                      std::filesystem::path const& path) {
    std::vector<float> ordered(values.begin(), values.end());
    if (embedding_is_mirrored(parameters)) { swap_complements(parameters, ordered); }
    std::deque<std::vector<float>> numbers;
    std::vector<TensorToWrite> tensors;
    for (auto const& p : parameters.tensors) {
        auto& out = numbers.emplace_back(static_cast<std::size_t>(p.rows * p.cols));
        for_each_element(p, [&](index_t to, index_t from) {
            out[static_cast<std::size_t>(to)] = ordered[static_cast<std::size_t>(from)];
        });
        tensors.push_back({p.name, DType::f32, p.shape, std::as_bytes(std::span(out))});
    }
    for (auto const& [name, tensor] : store.tensors()) {
        if (tensor.dtype == DType::i64 || tensor.dtype == DType::i32) {
            tensors.push_back({name, tensor.dtype, tensor.shape, tensor.bytes});
        }
    }
    write_safetensors(path, tensors);
}

std::vector<std::uint8_t> parameter_flags(ModelParameters const& parameters, index_t first_layer) {
    std::vector<std::uint8_t> flags(static_cast<std::size_t>(parameters.size / kParameterBlock), 0);
    for (auto const& p : parameters.tensors) {
        if (p.layer < first_layer) { continue; }
        auto const begin = flags.begin() + p.offset / kParameterBlock;
        std::fill(begin, begin + padded(p.rows * p.cols) / kParameterBlock,
                  static_cast<std::uint8_t>(p.decay ? kTrainable | kWeightDecay : kTrainable));
    }
    return flags;
}

} // namespace strandwave
