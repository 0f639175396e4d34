#include "kernels/pooling/pooling.h"
#include "lib/model/executor.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <exception>
#include <iterator>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

namespace strandwave {
namespace {

/// The rows of one piece that fall into one block.
struct Part {
    index_t row = 0; ///< first row in the block
    index_t length = 0;
    index_t state = 0;              ///< which of the lanes' states: 2 * lane, or the one behind it
    index_t seen = 0;               ///< rows of the record before this part; 0: it starts from zero state
    RecordResult* result = nullptr; ///< of the record, if it ends here; else its state goes on
};

/// `token_block` consecutive rows of a feed. One worker carries it through all layers. At each step it waits until the
/// blocks before it that share a lane have done that step, for their state: so the layers of neighbouring blocks run
/// side by side as a wavefront, with no thread ever waiting for more than one step.
struct Block {
    index_t begin = 0; ///< first row, in the feed
    index_t rows = 0;
    std::vector<Part> parts;
    std::vector<Block*> before; ///< for each of its lanes the last block that had it
    std::atomic<index_t> steps_done{0};
};

constexpr index_t kAborted = std::numeric_limits<index_t>::max();

/// What a lane holds. A record that starts takes the state that the record before it does not use, since a block may
/// hold the end of the one and the start of the other, and kernels promise no order between them.
struct Lane {
    index_t length = 0; ///< rows that its record has had
    index_t state = 0;  ///< of its record
};

/// Cuts the pieces of a feed into blocks.
class Plan {
public:
    /// `lanes` are brought up to date.
    Plan(std::span<Piece const> pieces, index_t token_block, std::vector<Lane>& lanes)
        : token_block_(token_block), lanes_(lanes), last_of_lane_(lanes.size(), nullptr) {
        for (auto const& piece : pieces) {
            add(piece);
        }
    }

    std::deque<Block>& blocks() { return blocks_; }
    std::deque<RecordResult>& results() { return results_; }

private:
    void add(Piece const& piece) {
        auto& lane = lanes_[static_cast<std::size_t>(piece.lane)];
        if (piece.first) { lane.length = 0; }
        index_t left = piece.length;
        do {
            if (blocks_.empty() || (left > 0 && blocks_.back().rows == token_block_)) { open_block(); }
            auto& block = blocks_.back();
            if (lane.length == 0) { lane.state ^= 1; }
            Part part{block.rows, std::min(left, token_block_ - block.rows), lane.state, lane.length, nullptr};
            left -= part.length;
            lane.length += part.length;
            if (left == 0 && piece.last) {
                part.result = &results_.emplace_back(RecordResult{piece.lane, lane.length, {}});
                if (part.seen == 0) { lane.state ^= 1; } // begun and over: the state it took is free again
            }
            place(block, part, piece.lane);
        } while (left > 0);
    }

    void open_block() {
        index_t const begin = blocks_.empty() ? 0 : blocks_.back().begin + blocks_.back().rows;
        blocks_.emplace_back();
        blocks_.back().begin = begin;
    }

    void place(Block& block, Part const& part, index_t lane) {
        auto*& last = last_of_lane_[static_cast<std::size_t>(lane)];
        auto const known = std::find(block.before.begin(), block.before.end(), last) != block.before.end();
        if (last != nullptr && last != &block && !known) { block.before.push_back(last); }
        last = &block;
        block.rows += part.length;
        block.parts.push_back(part);
    }

    index_t token_block_;
    std::vector<Lane>& lanes_;
    std::vector<Block*> last_of_lane_;
    std::deque<Block> blocks_; // deques: what stands in them stays where it is
    std::deque<RecordResult> results_;
};

/// The activations of one block; one a worker.
struct Workspace {
    Workspace(ModelConfig const& config, index_t rows)
        : frames(rows * config.frame_floats()), residual(rows * config.d_model), normed(rows * config.d_model),
          xz(rows * 2 * config.d_inner), y(rows * config.d_inner), mixer(config, rows) {
        std::fill(y.begin(), y.end(), 0.0F); // rows of padding are read by projections, but never written
    }

    Buffer<float> frames;
    Buffer<float> residual;
    Buffer<float> normed;
    Buffer<float> xz;
    Buffer<float> y;
    MambaScratch mixer;
    MambaSegments segments;
};

class CausalExecutor : public CpuExecutor {
public:
    CausalExecutor(std::shared_ptr<Model const> model, Threads& threads, SessionOptions const& options, int workers)
        : model_(std::move(model)), parts_(model_->parts()), config_(parts_.config), threads_(threads),
          options_(options), taps_(options, config_.n_layer),
          states_(static_cast<std::size_t>(2 * options.lanes), make_zero_state(config_)) {
        for (index_t lane = 0; lane < options.lanes; ++lane) {
            lanes_.push_back({0, 2 * lane});
        }
        for (int i = 0; i < workers; ++i) {
            workspaces_.emplace_back(config_, options.token_block);
        }
    }

    std::vector<RecordResult> feed(FeedInput input, std::span<Piece const> pieces) override {
        Plan plan(pieces, options_.token_block, lanes_);
        std::atomic<std::size_t> next{0};
        std::mutex failure_mutex;
        std::exception_ptr failure;
        auto& blocks = plan.blocks();
        auto const work = [&](int worker) {
            for (std::size_t i = next++; i < blocks.size(); i = next++) {
                try {
                    run_block(blocks[i], input, workspaces_[static_cast<std::size_t>(worker)]);
                } catch (...) {
                    std::lock_guard const lock(failure_mutex);
                    if (!failure) { failure = std::current_exception(); }
                    next = blocks.size();
                }
                // Also after a failure: whoever waits for this block must not wait for ever.
                finish_step(blocks[i], kAborted);
            }
        };
        workspaces_.size() == 1 ? work(0) : threads_.run_workers(work);
        if (failure) { std::rethrow_exception(failure); }
        return {std::make_move_iterator(plan.results().begin()), std::make_move_iterator(plan.results().end())};
    }

    LaneState save(index_t lane) const override {
        auto const& now = lanes_.at(static_cast<std::size_t>(lane));
        auto state = now.length == 0 ? make_zero_state(config_) : states_[static_cast<std::size_t>(now.state)];
        state.length = now.length;
        return state;
    }

    void restore(index_t lane, LaneState const& state) override {
        check_state(state, make_zero_state(config_));
        auto& now = lanes_.at(static_cast<std::size_t>(lane));
        now.length = state.length;
        states_[static_cast<std::size_t>(now.state)] = state;
    }

private:
    static void wait_for_step(Block const& block, index_t step) {
        for (Block const* before : block.before) {
            auto const& done = before->steps_done;
            for (index_t seen = done.load(std::memory_order_acquire); seen < step;
                 seen = done.load(std::memory_order_acquire)) {
                done.wait(seen, std::memory_order_acquire);
            }
        }
    }

    static void finish_step(Block& block, index_t step) {
        block.steps_done.store(step, std::memory_order_release);
        block.steps_done.notify_all();
    }

    /// Step 0 embeds, step K runs layer K, the last step is the final norm.
    void run_block(Block& block, FeedInput const& input, Workspace& work) {
        auto const residual = work.residual.view(options_.token_block, config_.d_model);
        wait_for_step(block, 1);
        embed_rows(parts_, input, block.begin, block.rows, work.frames, residual);
        tap(0, block, residual);
        finish_step(block, 1);
        for (index_t layer = 1; layer <= taps_.layers(); ++layer) {
            wait_for_step(block, layer + 1);
            if (block.rows > 0) { run_layer(layer, block, work); }
            tap(layer, block, residual);
            finish_step(block, layer + 1);
        }
        wait_for_step(block, taps_.layers() + 2);
        if (taps_.final_norm()) {
            parts_.final_norm.apply(residual, residual);
            tap(kFinalNorm, block, residual);
        }
        finish_step(block, taps_.layers() + 2);
    }

    void run_layer(index_t number, Block const& block, Workspace& work) {
        auto const& layer = parts_.layers[static_cast<std::size_t>(number - 1)];
        auto const& mixer = layer.directions.front().mixer;
        index_t const rows = options_.token_block;
        auto const residual = work.residual.view(rows, config_.d_model);
        auto const normed = work.normed.view(rows, config_.d_model);
        auto const xz = work.xz.view(rows, 2 * config_.d_inner);
        auto const y = work.y.view(rows, config_.d_inner);
        layer.norm.apply(residual, normed);
        mixer.projections().in.apply(normed, xz);
        find_segments(number, block, work.segments);
        mixer.scan(xz, work.segments, false, work.mixer, y);
        mixer.projections().out.apply(y, residual, true);
    }

    void find_segments(index_t number, Block const& block, MambaSegments& segments) {
        segments.conv.clear();
        segments.scan.clear();
        for (auto const& part : block.parts) {
            auto& state = states_[static_cast<std::size_t>(part.state)].layers[static_cast<std::size_t>(number - 1)];
            bool const starts = part.seen == 0;
            bool const ends = part.result != nullptr;
            segments.conv.push_back(
                {part.row, part.length, starts ? nullptr : state.conv.data(), ends ? nullptr : state.conv.data()});
            segments.scan.push_back(
                {part.row, part.length, starts ? nullptr : state.scan.data(), ends ? nullptr : state.scan.data()});
        }
    }

    /// Shows a stream to the sink and pools it, as wanted.
    void tap(index_t layer, Block const& block, View<float const, 2> stream) {
        if (taps_.sinks(layer) && block.rows > 0) {
            options_.sink->positions(layer, block.begin, stream.rows_from(0, block.rows));
        }
        if (!taps_.pools(layer)) { return; }
        for (auto const& part : block.parts) {
            auto& state = states_[static_cast<std::size_t>(part.state)].pooled;
            View<double, 1> const running{state.data(), config_.d_model};
            pool_accumulate(options_.pooling, stream.rows_from(part.row, part.length), part.seen, running);
            if (part.result == nullptr) { continue; }
            part.result->pooled.resize(state.size());
            View<float, 1> const pooled{part.result->pooled.data(), config_.d_model};
            pool_finish(options_.pooling, running, part.result->length, pooled);
        }
    }

    std::shared_ptr<Model const> model_;
    Model::Parts const& parts_;
    ModelConfig const& config_;
    Threads& threads_;
    SessionOptions options_;
    Taps taps_;
    std::vector<Lane> lanes_;
    std::vector<LaneState> states_; ///< two a lane
    std::deque<Workspace> workspaces_;
};

} // namespace

std::unique_ptr<CpuExecutor> make_causal_executor(std::shared_ptr<Model const> model, Threads& threads,
                                                  SessionOptions const& options, int workers) {
    return std::make_unique<CausalExecutor>(std::move(model), threads, options, workers);
}

} // namespace strandwave
