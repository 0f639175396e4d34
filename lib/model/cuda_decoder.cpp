#include "lib/model/cuda_decoder.h"

#include "lib/core/error.h"
#include "lib/model/cuda_parts.h"

#include <algorithm>

namespace strandwave {

CudaDecoder::CudaDecoder(Model::Parts const& parts, SessionOptions const& options, CudaLaneStates const& states)
    : parts_(parts), options_(options), states_(states), suits_(suits()),
      sinks_(options.sink != nullptr && !options.sink_layers.empty()), normed_(parts.config.d_model),
      pooled_(parts.config.d_model) {}

CudaDecoder::~CudaDecoder() {
    try {
        wait();
    } catch (Error const&) {} // the next call to the GPU says it again
}

/// A step shows the final norm and nothing before it. Its bits are not those of a position among others: so only where
/// the session has asked for the token block of a decoder.
bool CudaDecoder::suits() const {
    if (options_.token_block != 1) { return false; }
    Taps const taps(options_, parts_.config.n_layer);
    for (index_t layer = 0; layer <= parts_.config.n_layer; ++layer) {
        if (taps.sinks(layer) || taps.pools(layer)) { return false; }
    }
    return taps.final_norm() && !parts_.config.bidirectional && parts_.config.frame_length == 0;
}

bool CudaDecoder::takes(std::span<Piece const> pieces) {
    if (!suits_ || pieces.size() != 1 || pieces[0].length != 1) { return false; }
    if (weights_ == nullptr) {
        weights_ = parts_.cuda->step_weights(parts_.config, parts_.dtype);
        suits_ = weights_ != nullptr;
    }
    return suits_;
}

std::vector<RecordResult> CudaDecoder::feed(FeedInput const& input, Piece const& piece, CudaLane& lane) {
    index_t const d_model = parts_.config.d_model;
    if (piece.first) { lane.length = 0; }
    bool const starts = lane.length == 0;
    if (starts && !piece.last) { lane.slot ^= 1; } // as plan_pieces has it
    auto const lane_slots = static_cast<std::int32_t>(2 * options_.lanes);

    MambaStepArgs args;
    args.embedding = parts_.cuda->embedding.data();
    args.token = input.tokens[0];
    args.conv_state = states_.layer(0).conv;
    args.scan_state = states_.layer(0).scan;
    args.slots = lane_slots;
    args.initial = starts ? -1 : lane.slot;
    args.final = piece.last ? -1 : lane.slot;
    args.normed = sinks_ ? normed_.data() : nullptr;
    args.pooling = options_.pooling;
    args.seen = lane.length;
    if (options_.pool) {
        args.pool_state = states_.pools() + (starts && piece.last ? lane_slots : lane.slot) * d_model;
        args.pooled = piece.last ? pooled_.data() : nullptr;
    }
    mamba_step_cuda(*weights_, args, stream_.get());
    busy_ = true;
    ++lane.length;

    if (sinks_ || args.pooled != nullptr) { wait(); }
    if (sinks_) { options_.sink->positions(kFinalNorm, 0, {normed_.data(), 1, d_model}); }
    std::vector<RecordResult> results;
    if (!piece.last) { return results; }
    results.push_back({piece.lane, lane.length, {}});
    if (options_.pool) {
        auto& pooled = results[0].pooled;
        pooled.resize(static_cast<std::size_t>(d_model));
        pool_finish(options_.pooling, {pooled_.data(), d_model}, lane.length, {pooled.data(), d_model});
    }
    return results;
}

void CudaDecoder::wait() {
    if (!busy_) { return; }
    stream_.wait();
    busy_ = false;
}

} // namespace strandwave
