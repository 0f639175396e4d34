#include "lib/model/executor.h"

#include "kernels/embedding/embedding.h"
#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {

Taps::Taps(SessionOptions const& options, index_t n_layer)
    : sunk_(options.sink != nullptr ? options.sink_layers : std::vector<index_t>{}), pooled_(options.layer),
      pool_(options.pool) {
    auto const need = [&](index_t layer) { layers_ = std::max(layers_, layer == kFinalNorm ? n_layer : layer); };
    for (index_t const layer : sunk_) {
        need(layer);
    }
    if (pool_) { need(pooled_); }
}

bool Taps::sinks(index_t layer) const noexcept { return std::find(sunk_.begin(), sunk_.end(), layer) != sunk_.end(); }

LaneState make_zero_state(ModelConfig const& config) {
    LaneState::Layer layer;
    layer.conv.assign(static_cast<std::size_t>((config.d_conv - 1) * config.d_inner), 0.0F);
    layer.scan.assign(static_cast<std::size_t>(config.d_state * config.d_inner), 0.0F);
    LaneState state;
    state.layers.assign(static_cast<std::size_t>(config.n_layer), layer);
    state.pooled.assign(static_cast<std::size_t>(config.d_model), 0.0);
    return state;
}

void check_state(LaneState const& state, LaneState const& zero) {
    auto const fits = [](auto const& a, auto const& b) {
        return a.conv.size() == b.conv.size() && a.scan.size() == b.scan.size();
    };
    if (state.pooled.size() != zero.pooled.size() ||
        !std::equal(state.layers.begin(), state.layers.end(), zero.layers.begin(), zero.layers.end(), fits)) {
        throw Error(ErrorCode::shape_mismatch, "the state to restore is of another model");
    }
}

Pooling pooling_of_stream(Pooling pooling, bool mirrored) noexcept {
    if (mirrored && pooling == Pooling::first) { return Pooling::last; }
    if (mirrored && pooling == Pooling::last) { return Pooling::first; }
    return pooling;
}

Buffer<float> both_strands(View<float const, 2> own, View<float const, 2> opposite, bool mirrored) {
    index_t const d = own.cols;
    auto const place = [&](float const* from, float* to) {
        mirrored ? std::reverse_copy(from, from + d, to) : std::copy(from, from + d, to);
    };
    Buffer<float> hidden(own.rows * 2 * d);
    for (index_t t = 0; t < own.rows; ++t) {
        float* const row = hidden.data() + t * 2 * d;
        place(own.row(t), row + (mirrored ? d : 0));
        place(opposite.row(own.rows - 1 - t), row + (mirrored ? 0 : d));
    }
    return hidden;
}

void embed_rows(Model::Parts const& parts, FeedInput const& input, index_t begin, index_t count, Buffer<float>& frames,
                View<float, 2> x) {
    auto const& config = parts.config;
    if (config.frame_length == 0) {
        View<float const, 2> const table = parts.embedding.view(config.vocab_size, config.d_model);
        auto const tokens = input.tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
        embedding(table, tokens, x.rows_from(0, count));
        std::fill_n(x.row(count), (x.rows - count) * x.cols, 0.0F);
        return;
    }
    // All rows of x, padded with silent frames, so that the product has its fixed row count.
    auto const block = frames.view(x.rows, config.frame_length);
    for (index_t t = 0; t < count; ++t) {
        std::copy_n(input.frames.row(begin + t), block.cols, block.row(t));
    }
    std::fill_n(block.row(count), (x.rows - count) * block.cols, 0.0F);
    parts.frame_embedding.apply(frames, x);
}

} // namespace strandwave
