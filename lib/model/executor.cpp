#include "lib/model/executor.h"

#include "kernels/embedding/embedding.h"

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
    parts.frame_embedding.apply(block, x);
}

} // namespace strandwave
