#include "lib/model/session.h"

#include "lib/core/error.h"
#include "lib/model/executor.h"

#include <string>
#include <utility>

namespace strandwave {
namespace {

void check_options(ModelConfig const& config, SessionOptions const& options) {
    auto const check_layer = [&](index_t layer) {
        if (layer != kFinalNorm && (layer < 0 || layer > config.n_layer)) {
            throw Error(ErrorCode::invalid_argument,
                        "layer " + std::to_string(layer) + " is not in 0.." + std::to_string(config.n_layer));
        }
    };
    check_layer(options.layer);
    for (index_t const layer : options.sink_layers) {
        check_layer(layer);
    }
    if (options.lanes < 1) { throw Error(ErrorCode::invalid_argument, "a session needs 1 lane or more"); }
    if (options.token_block < 1) { throw Error(ErrorCode::invalid_argument, "token_block has to be 1 or more"); }
}

index_t check_input(ModelConfig const& config, FeedInput const& input) {
    if (config.frame_length > 0) {
        if (!input.frames.empty() && input.frames.cols != config.frame_length) {
            throw Error(ErrorCode::shape_mismatch, "frames have " + std::to_string(input.frames.cols) +
                                                       " samples, the model reads " +
                                                       std::to_string(config.frame_length));
        }
        return input.frames.rows;
    }
    for (std::size_t t = 0; t < input.tokens.size(); ++t) {
        if (input.tokens[t] < 0 || input.tokens[t] >= config.vocab_size) {
            throw Error(ErrorCode::invalid_argument, "token " + std::to_string(input.tokens[t]) + " at position " +
                                                         std::to_string(t) + " is outside the vocabulary of " +
                                                         std::to_string(config.vocab_size));
        }
    }
    return static_cast<index_t>(input.tokens.size());
}

void check_pieces(SessionOptions const& options, bool causal, index_t positions, std::span<Piece const> pieces) {
    index_t total = 0;
    for (auto const& piece : pieces) {
        if (piece.length < 0) { throw Error(ErrorCode::invalid_argument, "a piece has a negative length"); }
        if (piece.lane < 0 || piece.lane >= options.lanes) {
            throw Error(ErrorCode::invalid_argument,
                        "lane " + std::to_string(piece.lane) + " is not in 0.." + std::to_string(options.lanes - 1));
        }
        if (!causal && !(piece.first && piece.last)) {
            throw Error(ErrorCode::unsupported, "a bidirectional model reads whole records, not pieces of them");
        }
        total += piece.length;
    }
    if (total != positions) {
        throw Error(ErrorCode::shape_mismatch,
                    "the pieces have " + std::to_string(total) + " positions, the input " + std::to_string(positions));
    }
}

std::unique_ptr<Executor> make_gpu_executor(std::shared_ptr<Model const> const& model, SessionOptions const& options) {
#if STRANDWAVE_HAS_CUDA
    return make_cuda_executor(model, options);
#else
    static_cast<void>(options);
    throw Error(ErrorCode::device, model->device().name() + ": built without CUDA");
#endif
}

/// A wavefront keeps about as many threads busy as there are layers, half of them at its ends.
std::unique_ptr<Executor> make_executor(std::shared_ptr<Model const> const& model, Threads& threads,
                                        SessionOptions const& options) {
    if (model->device().is_gpu()) { return make_gpu_executor(model, options); }
    if (!model->causal()) { return make_whole_record_executor(model, threads, options); }
    bool const shallow = threads.count() > 1 && index_t{2} * threads.count() > model->config().n_layer;
    return shallow ? make_record_parallel_executor(model, threads, options)
                   : make_causal_executor(model, threads, options, threads.count());
}

} // namespace

struct Session::Impl {
    std::shared_ptr<Model const> model;
    SessionOptions options;
    std::unique_ptr<Executor> executor;
    index_t started = 0; ///< feeds that are not finished
};

Session::Session(std::shared_ptr<Model const> model, Threads& threads, SessionOptions options) {
    check_options(model->config(), options);
    auto executor = make_executor(model, threads, options);
    impl_ = std::make_unique<Impl>(Impl{std::move(model), std::move(options), std::move(executor), 0});
}

Session::~Session() = default;

std::vector<RecordResult> Session::feed(FeedInput input, std::span<Piece const> pieces) {
    if (impl_->started > 0) { throw Error(ErrorCode::invalid_argument, "a feed was started and is not finished yet"); }
    start(input, pieces);
    return finish();
}

void Session::start(FeedInput input, std::span<Piece const> pieces) {
    index_t const positions = check_input(impl_->model->config(), input);
    check_pieces(impl_->options, impl_->model->causal(), positions, pieces);
    impl_->executor->start(input, pieces);
    ++impl_->started;
}

std::vector<RecordResult> Session::finish() {
    if (impl_->started == 0) { throw Error(ErrorCode::invalid_argument, "no feed was started"); }
    --impl_->started;
    return impl_->executor->finish();
}

LaneState Session::save(index_t lane) const { return impl_->executor->save(lane); }
void Session::restore(index_t lane, LaneState const& state) { impl_->executor->restore(lane, state); }

} // namespace strandwave
