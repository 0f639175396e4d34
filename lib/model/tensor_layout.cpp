#include "lib/model/tensor_layout.h"

#include "lib/checkpoint/tensor_store.h"
#include "lib/core/error.h"

namespace strandwave {
namespace {

using Wrapping = TensorLayout::Wrapping;

bool has_prefix(TensorStore const& store, std::string const& prefix) {
    auto const found = store.tensors().lower_bound(prefix);
    return found != store.tensors().end() && found->first.compare(0, prefix.size(), prefix) == 0;
}

std::string mixer_folder(Wrapping wrapping) { return wrapping == Wrapping::strands ? "mixer.submodule." : "mixer."; }

} // namespace

std::string TensorLayout::embedding() const {
    switch (wrapping) {
    case Wrapping::strands: return backbone + "embeddings.word_embeddings.embedding.weight";
    case Wrapping::directions: return backbone + "embeddings.word_embeddings.weight";
    case Wrapping::plain: break;
    }
    return backbone + (plural_embeddings ? "embeddings.weight" : "embedding.weight");
}

std::string TensorLayout::forward_mixer(index_t i) const {
    return layer(i) + mixer_folder(wrapping) + (wrapping == Wrapping::plain ? "" : "mamba_fwd.");
}

std::string TensorLayout::reverse_mixer(index_t i) const { return layer(i) + mixer_folder(wrapping) + "mamba_rev."; }

std::string TensorLayout::head() const {
    return wrapping == Wrapping::strands ? "lm_head.lm_head.weight" : "lm_head.weight";
}

TensorLayout detect_layout(TensorStore const& store) {
    for (char const* const backbone : {"caduceus.backbone.", "backbone.", ""}) {
        if (!has_prefix(store, std::string(backbone) + "layers.0.")) { continue; }
        for (auto const wrapping : {Wrapping::strands, Wrapping::directions, Wrapping::plain}) {
            TensorLayout layout{backbone, wrapping};
            // A_log belongs to every Mamba mixer, so that its name tells the wrapping even when others are missing.
            if (store.find(layout.forward_mixer(0) + "A_log") == nullptr) { continue; }
            layout.wrapped_norm = has_prefix(store, layout.layer(0) + "norm.submodule.");
            layout.plural_embeddings = store.find(layout.backbone + "embeddings.weight") != nullptr;
            return layout;
        }
        throw Error(ErrorCode::malformed_checkpoint,
                    "tensor '" + std::string(backbone) +
                        "layers.0.mixer.A_log' is missing, under this name and under those of Caduceus");
    }
    throw Error(ErrorCode::malformed_checkpoint,
                "no tensor is named 'backbone.layers.0.*', 'caduceus.backbone.layers.0.*' or 'layers.0.*': these are "
                "not the weights of a Mamba, Falcon-Mamba or Caduceus model");
}

index_t count_layers(TensorLayout const& layout, TensorStore const& store) {
    index_t count = 0;
    while (has_prefix(store, layout.layer(count))) {
        ++count;
    }
    return count;
}

} // namespace strandwave
