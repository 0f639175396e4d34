#include "lib/core/error.h"
#include "lib/model/cuda_decoder.h"
#include "lib/model/cuda_track.h"
#include "lib/model/executor.h"

#include <algorithm>
#include <array>
#include <deque>
#include <string>
#include <utility>

namespace strandwave {
namespace {

constexpr index_t kFewestRows = 1024;
constexpr std::size_t kTracks = 3;

/// Cuts feeds into steps of packed rows and runs them on one GPU, three at a time, of one feed or of several. Where
/// records go on from step to step, each layer of a step waits for the same layer of the step before: a wavefront, as
/// on the processor.
class CudaExecutor : public Executor {
public:
    CudaExecutor(std::shared_ptr<Model const> model, SessionOptions const& options)
        : model_(std::move(model)), parts_(model_->parts()), config_(parts_.config), options_(options) {
        use_gpu(parts_.device.gpu);
        index_t const lane_slots = 2 * options.lanes;
        index_t const step_slots = limits_.segments + 1;
        states_ = CudaLaneStates(config_, model_->causal() ? lane_slots : 0,
                                 lane_slots + static_cast<index_t>(kTracks) * step_slots);
        decoder_ = std::make_unique<CudaDecoder>(parts_, options_, states_);
        for (index_t lane = 0; lane < options.lanes; ++lane) {
            lanes_.push_back({0, static_cast<std::int32_t>(2 * lane)});
        }
        for (std::size_t i = 0; i < tracks_.size(); ++i) {
            tracks_[i] = std::make_unique<CudaTrack>(parts_, options_, states_,
                                                     lane_slots + static_cast<index_t>(i) * step_slots);
        }
        make_room(options.step_rows > 0 ? whole_units(options.step_rows)
                                        : suitable_step_rows(config_, parts_.dtype, parts_.device),
                  true);
    }

    void start(FeedInput input, std::span<Piece const> pieces) override {
        use_gpu(parts_.device.gpu);
        if (decoder_->takes(pieces)) {
            collect_all();
            auto& lane = lanes_[static_cast<std::size_t>(pieces[0].lane)];
            plans_.push_back({{}, decoder_->feed(input, pieces[0], lane), false});
            return;
        }
        decoder_->wait();
        StepLimits const limits{limits_.rows, limits_.segments};
        bool const sinks = options_.sink != nullptr && !options_.sink_layers.empty();
        auto plan = model_->causal()
                        ? plan_pieces(pieces, limits, lanes_)
                        : plan_records(pieces, static_cast<int>(config_.strands()), limits, options_.lanes, sinks);
        make_room_for(plan);
        plans_.push_back(std::move(plan));
        try {
            run(plans_.back(), input);
        } catch (...) {
            abandon(plans_.back());
            plans_.pop_back();
            throw;
        }
    }

    std::vector<RecordResult> finish() override {
        use_gpu(parts_.device.gpu);
        auto& plan = plans_.front();
        try {
            collect(plan);
            if (plan.lost) { throw Error(ErrorCode::device, parts_.device.name() + ": failed in the meantime"); }
        } catch (...) {
            abandon(plan);
            plans_.pop_front();
            throw;
        }
        auto results = std::move(plan.results);
        plans_.pop_front();
        return results;
    }

    LaneState save(index_t lane) const override {
        use_gpu(parts_.device.gpu);
        wait_for_gpu(); // feeds run on streams of their own
        auto const& now = lanes_.at(static_cast<std::size_t>(lane));
        LaneState state = make_zero_state(config_);
        state.length = now.length;
        if (now.length == 0) { return state; }
        auto const download = [](auto& to, auto const* from) {
            copy_to_host(to.data(), from, static_cast<index_t>(to.size() * sizeof to[0]), nullptr);
        };
        for (index_t i = 0; i < config_.n_layer; ++i) {
            auto& layer = state.layers[static_cast<std::size_t>(i)];
            download(layer.conv, states_.layer(i).conv + now.slot * states_.conv_floats());
            download(layer.scan, states_.layer(i).scan + now.slot * states_.scan_floats());
        }
        download(state.pooled, states_.pools() + now.slot * config_.d_model);
        return state;
    }

    void restore(index_t lane, LaneState const& state) override {
        use_gpu(parts_.device.gpu);
        wait_for_gpu();
        check_state(state, make_zero_state(config_));
        auto& now = lanes_.at(static_cast<std::size_t>(lane));
        now.length = state.length;
        auto const put = [](auto const& from, auto* to) {
            copy_to_device(to, from.data(), static_cast<index_t>(from.size() * sizeof from[0]), nullptr);
        };
        for (index_t i = 0; i < config_.n_layer; ++i) {
            auto const& layer = state.layers[static_cast<std::size_t>(i)];
            put(layer.conv, states_.layer(i).conv + now.slot * states_.conv_floats());
            put(layer.scan, states_.layer(i).scan + now.slot * states_.scan_floats());
        }
        put(state.pooled, states_.pools() + now.slot * config_.d_model);
        wait_for_gpu();
    }

private:
    static index_t whole_units(index_t rows) { return (rows + kChunkUnit - 1) / kChunkUnit * kChunkUnit; }

    void run(CudaFeedPlan& plan, FeedInput const& input) {
        for (auto const& step : plan.steps) {
            collect_track(next_);
            running_[next_] = &plan;
            tracks_[next_]->run(step, input, *tracks_[carrier_]);
            if (step.carries) { carrier_ = next_; }
            next_ = (next_ + 1) % kTracks;
        }
    }

    void collect_track(std::size_t track) {
        auto* const plan = std::exchange(running_[track], nullptr);
        if (plan == nullptr) { return; }
        try {
            tracks_[track]->collect(plan->results);
        } catch (...) {
            plan->lost = true;
            throw;
        }
    }

    /// Waits for what is under way of a plan.
    void collect(CudaFeedPlan const& plan) {
        for (std::size_t i = 0; i < kTracks; ++i) { // in the order of their steps
            std::size_t const track = (next_ + i) % kTracks;
            if (running_[track] == &plan) { collect_track(track); }
        }
    }

    void collect_all() {
        for (auto const& plan : plans_) {
            collect(plan);
        }
    }

    /// Waits for what is under way of a plan, and forgets it.
    void abandon(CudaFeedPlan const& plan) {
        for (std::size_t i = 0; i < kTracks; ++i) {
            if (running_[i] == &plan) {
                running_[i] = nullptr;
                tracks_[i]->abandon();
            }
        }
    }

    /// Steps of so many rows; if the GPU has not the memory, of fewer, if that will do.
    void make_room(index_t rows, bool fewer_will_do) {
        for (;;) {
            try {
                for (auto& track : tracks_) {
                    track->allocate(rows, limits_.segments + 1);
                }
                limits_.rows = rows;
                return;
            } catch (Error const& error) {
                for (auto& track : tracks_) {
                    track->release();
                }
                if (error.code() != ErrorCode::too_large || !fewer_will_do || rows / 2 < kFewestRows) { throw; }
                rows = whole_units(rows / 2);
                if (options_.notice) {
                    options_.notice(parts_.device.name() + ": " + error.message() + "; " + std::to_string(rows) +
                                    " rows at once instead");
                }
            }
        }
    }

    /// A whole record may be longer than a step is meant to be.
    void make_room_for(CudaFeedPlan const& plan) {
        index_t rows = 0;
        for (auto const& step : plan.steps) {
            rows = std::max(rows, step.rows);
        }
        if (rows <= tracks_[0]->rows()) { return; }
        collect_all();
        index_t const meant = limits_.rows;
        try {
            make_room(rows, false);
            limits_.rows = meant;
        } catch (Error const& error) {
            if (error.code() != ErrorCode::too_large) { throw; }
            make_room(meant, true);
            throw Error(ErrorCode::too_large, "a record of " + std::to_string(rows) +
                                                  " positions does not fit in the GPU's memory: " + error.message() +
                                                  ". Cut the input into windows (--window)");
        }
    }

    std::shared_ptr<Model const> model_;
    Model::Parts const& parts_;
    ModelConfig const& config_;
    SessionOptions options_;
    StepLimits limits_;
    CudaLaneStates states_;
    std::vector<CudaLane> lanes_;
    std::array<std::unique_ptr<CudaTrack>, kTracks> tracks_;
    std::unique_ptr<CudaDecoder> decoder_;
    std::deque<CudaFeedPlan> plans_;                  ///< of feeds that are started and not finished
    std::array<CudaFeedPlan*, kTracks> running_ = {}; ///< whose step is in each track; null: none
    std::size_t next_ = 0;                            ///< the track whose turn it is
    std::size_t carrier_ = 0;                         ///< the track that ran the last step which carried state
};

} // namespace

std::unique_ptr<Executor> make_cuda_executor(std::shared_ptr<Model const> model, SessionOptions const& options) {
    return std::make_unique<CudaExecutor>(std::move(model), options);
}

} // namespace strandwave
