#include "lib/model/cuda_track.h"

#include "kernels/embedding/embedding_cuda.h"
#include "kernels/multiply_add/multiply_add_cuda.h"
#include "lib/core/error.h"

#include <algorithm>

namespace strandwave {

/// What the processor prepares for a step and gets back from it, in page-locked memory.
struct CudaTrack::Staging {
    PinnedArray<std::int32_t> tokens;
    PinnedArray<float> frames;
    PinnedArray<RowBlock> blocks[2];
    PinnedArray<PoolSegment> pools;
    PinnedArray<double> step_pools; ///< [segments][d_model]: of records that begin and end in the step
    PinnedArray<double> lane_pools; ///< [2 * lanes][d_model]

    Staging(ModelConfig const& config, CudaWorkspace const& workspace, index_t lanes)
        : tokens(config.frame_length > 0 ? 0 : workspace.size().rows),
          frames(workspace.size().rows * config.frame_length),
          blocks{PinnedArray<RowBlock>(workspace.block_capacity()),
                 PinnedArray<RowBlock>(config.bidirectional ? workspace.block_capacity() : 0)},
          pools(workspace.size().segments), step_pools(workspace.size().segments * config.d_model),
          lane_pools(2 * lanes * config.d_model) {}
};

namespace {

template <class T>
void upload_staged(PinnedArray<T> const& from, T* to, index_t count, GpuStream stream) {
    if (count > 0) { copy_to_device(to, from.data(), count * static_cast<index_t>(sizeof(T)), stream); }
}

} // namespace

CudaTrack::CudaTrack(Model::Parts const& parts, SessionOptions const& options, CudaLaneStates const& states,
                     index_t first_pool_slot)
    : parts_(parts), cuda_(*parts.cuda), config_(parts.config), options_(options), taps_(options, config_.n_layer),
      states_(states), first_pool_slot_(first_pool_slot), layer_done_(static_cast<std::size_t>(config_.n_layer + 1)) {}

CudaTrack::~CudaTrack() { abandon(); }

void CudaTrack::allocate(index_t rows, index_t segments) {
    release();
    workspace_ = CudaWorkspace(config_, parts_.dtype, {rows, segments});
    staging_ = std::make_unique<Staging>(config_, workspace_, options_.lanes);
}

void CudaTrack::release() {
    staging_ = nullptr;
    workspace_ = CudaWorkspace();
}

void CudaTrack::run(CudaStep const& step, FeedInput const& input, CudaTrack const& before) {
    step_ = &step;
    stage(step, input);
    embed(step);
    tap(0, step);
    for (index_t number = 1; number <= taps_.layers() && step.rows > 0; ++number) {
        auto const done = static_cast<std::size_t>(number - 1);
        if (step.carries) { streams_.main.wait_for(before.layer_done_[done]); }
        run_layer(number, step);
        layer_done_[done].record(streams_.main.get());
        tap(number, step);
    }
    if (taps_.final_norm()) {
        auto const residual = workspace_.residual(step.rows);
        if (step.rows > 0) { cuda_.final_norm.apply(residual, residual, streams_.main.get()); }
        if (step.carries) { streams_.main.wait_for(before.layer_done_.back()); }
        tap(kFinalNorm, step);
    }
    fetch_pools(step);
    layer_done_.back().record(streams_.main.get());
    done_.record(streams_.main.get());
}

/// Input, row blocks and pool segments of a step, on their way to the GPU.
void CudaTrack::stage(CudaStep const& step, FeedInput const& input) {
    auto const stream = streams_.main.get();
    for (auto const& strand : step.strands) {
        config_.frame_length > 0 ? stage_frames(strand, input) : stage_tokens(strand, input);
    }
    upload_staged(staging_->tokens, workspace_.tokens(), config_.frame_length > 0 ? 0 : step.rows, stream);
    upload_staged(staging_->frames, workspace_.frames(0).as<float>(), step.rows * config_.frame_length, stream);
    for (bool const reverse : {false, true}) {
        if (reverse && !config_.bidirectional) { continue; }
        auto const blocks = cut_into_blocks(step.segments, reverse);
        auto& staged = staging_->blocks[reverse ? 1 : 0];
        std::copy(blocks.begin(), blocks.end(), staged.data());
        blocks_[reverse ? 1 : 0] = {workspace_.blocks(reverse), static_cast<index_t>(blocks.size()),
                                    longest_segment(blocks)};
        upload_staged(staged, workspace_.blocks(reverse), static_cast<index_t>(blocks.size()), stream);
    }
    index_t const lane_slots = 2 * options_.lanes;
    std::transform(step.pools.begin(), step.pools.end(), staging_->pools.data(), [&](PoolSegment pool) {
        if (pool.slot >= lane_slots) { pool.slot += static_cast<std::int32_t>(first_pool_slot_ - lane_slots); }
        return pool;
    });
    upload_staged(staging_->pools, workspace_.pools(), static_cast<index_t>(step.pools.size()), stream);
}

void CudaTrack::stage_tokens(StrandRows const& strand, FeedInput const& input) {
    auto const* const from = input.tokens.data() + strand.input;
    auto* const to = staging_->tokens.data() + strand.begin;
    if (strand.strand == 0) {
        std::copy_n(from, strand.length, to);
        return;
    }
    for (index_t t = 0; t < strand.length; ++t) {
        to[t] = config_.complement_map[static_cast<std::size_t>(from[strand.length - 1 - t])];
    }
}

void CudaTrack::stage_frames(StrandRows const& strand, FeedInput const& input) {
    for (index_t t = 0; t < strand.length; ++t) {
        std::copy_n(input.frames.row(strand.input + t), config_.frame_length,
                    staging_->frames.data() + (strand.begin + t) * config_.frame_length);
    }
}

void CudaTrack::embed(CudaStep const& step) {
    if (step.rows == 0) { return; }
    auto const residual = workspace_.residual(step.rows);
    if (config_.frame_length > 0) {
        cuda_.frame_embedding.apply(workspace_.frames(step.rows), workspace_.filtered(step.rows),
                                    workspace_.powers(step.rows), residual, streams_.main.get());
    } else {
        embedding_cuda(cuda_.embedding.data(), workspace_.tokens(), residual, streams_.main.get());
    }
}

void CudaTrack::run_layer(index_t number, CudaStep const& step) {
    index_t const rows = step.rows;
    auto const& layer = cuda_.layers[static_cast<std::size_t>(number - 1)];
    auto const normed = workspace_.normed(rows);
    auto const y = workspace_.y(rows);
    auto const scratch = workspace_.scratch(rows);
    auto const state = step.carries ? states_.layer(number - 1) : CudaLayerState{};
    layer.norm.apply(workspace_.residual(rows), normed, streams_.main.get());
    for (std::size_t d = 0; d < layer.directions.size(); ++d) {
        auto const& [mixer, reverse] = layer.directions[d];
        bool const own = d == 0 || !layer.shared_projections; // projections that no direction ran before
        auto const xz = workspace_.xz(own ? d : 0, rows);
        if (own) { mixer.projections().in.apply(normed, xz, false, streams_.main.get()); }
        mixer.scan(xz, blocks_[reverse ? 1 : 0], state, scratch, y, !own, streams_);
        bool const sum_goes_on = layer.shared_projections && d + 1 < layer.directions.size();
        if (!sum_goes_on) { project_out(mixer, layer, d, y); }
    }
}

/// residual += out(y), or, for directions that are multiplied, the product behind the second.
void CudaTrack::project_out(CudaMambaMixer const& mixer, CudaLayer const& layer, std::size_t d, DeviceMatrix y) {
    auto const stream = streams_.main.get();
    auto const residual = workspace_.residual(y.rows);
    bool const multiplies = layer.directions.size() > 1 && config_.strategy == BidirectionalStrategy::multiply;
    if (!multiplies) {
        mixer.projections().out.apply(y, residual, true, stream);
        return;
    }
    mixer.projections().out.apply(y, workspace_.product(static_cast<int>(d), y.rows), false, stream);
    if (d == 1) { multiply_add_cuda(workspace_.product(0, y.rows), workspace_.product(1, y.rows), residual, stream); }
}

/// Shows a stream to the sink and pools it, as wanted.
void CudaTrack::tap(index_t layer, CudaStep const& step) {
    if (step.rows == 0) { return; }
    bool const mirrored = parts_.mirrored(layer == kFinalNorm ? config_.n_layer : layer);
    if (taps_.pools(layer)) {
        pool_cuda(pooling_of_stream(options_.pooling, mirrored), workspace_.residual(step.rows), workspace_.pools(),
                  static_cast<index_t>(step.pools.size()), states_.pools(), workspace_.pool_partial(),
                  streams_.main.get());
    }
    if (taps_.sinks(layer)) { show(layer, step, mirrored); }
}

void CudaTrack::show(index_t layer, CudaStep const& step, bool mirrored) {
    Buffer<float> rows(step.rows * config_.d_model);
    copy_to_host(rows.data(), workspace_.residual(step.rows).data, rows.size() * static_cast<index_t>(sizeof(float)),
                 streams_.main.get());
    streams_.main.wait();
    auto const rows_of = [&](StrandRows const& strand) {
        return View<float const, 2>(rows.data() + strand.begin * config_.d_model, strand.length, config_.d_model);
    };
    for (std::size_t i = 0; i < step.strands.size(); ++i) {
        auto const& strand = step.strands[i];
        if (strand.strand != 0) { continue; }
        if (config_.strands() == 1) {
            options_.sink->positions(layer, strand.input, rows_of(strand));
            continue;
        }
        // With a sink, the strands of a record stand side by side.
        auto const hidden = both_strands(rows_of(strand), rows_of(step.strands[i + 1]), mirrored);
        options_.sink->positions(layer, strand.input, hidden.view(strand.length, 2 * config_.d_model));
    }
}

/// The running pools that the step's results are made of, on their way to the processor.
void CudaTrack::fetch_pools(CudaStep const& step) {
    if (!options_.pool || step.ended.empty()) { return; }
    index_t const row = config_.d_model * static_cast<index_t>(sizeof(double));
    auto const fetch = [&](double* to, index_t first, index_t slots) {
        if (slots > 0) {
            copy_to_host(to, states_.pools() + first * config_.d_model, slots * row, streams_.main.get());
        }
    };
    fetch(staging_->step_pools.data(), first_pool_slot_, step.pool_slots);
    for (auto const& ended : step.ended) {
        if (ended.slot < 2 * options_.lanes) {
            fetch(staging_->lane_pools.data() + ended.slot * config_.d_model, ended.slot, 1);
        }
    }
}

void CudaTrack::collect(std::vector<RecordResult>& results) {
    if (step_ == nullptr) { return; }
    done_.wait();
    CudaStep const& step = *step_;
    step_ = nullptr;
    if (!options_.pool) { return; }
    bool const mirrored = parts_.mirrored(options_.layer == kFinalNorm ? config_.n_layer : options_.layer);
    index_t const lane_slots = 2 * options_.lanes;
    float const share = 1.0F / static_cast<float>(config_.strands());
    std::vector<float> vector(static_cast<std::size_t>(config_.d_model));
    for (auto const& ended : step.ended) {
        double const* const state = ended.slot < lane_slots
                                        ? staging_->lane_pools.data() + ended.slot * config_.d_model
                                        : staging_->step_pools.data() + (ended.slot - lane_slots) * config_.d_model;
        pool_finish(options_.pooling, {state, config_.d_model}, ended.length, {vector.data(), config_.d_model});
        if (mirrored) { std::reverse(vector.begin(), vector.end()); }
        auto& pooled = results[static_cast<std::size_t>(ended.result)].pooled;
        pooled.resize(vector.size(), 0.0F);
        for (std::size_t c = 0; c < vector.size(); ++c) {
            pooled[c] += share * vector[c];
        }
    }
}

void CudaTrack::abandon() {
    step_ = nullptr;
    try {
        streams_.main.wait();
        streams_.scan.wait();
    } catch (Error const&) {} // whoever fed the step has heard of it
}

} // namespace strandwave
