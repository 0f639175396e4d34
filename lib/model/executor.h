#pragma once

#include "lib/core/buffer.h"
#include "lib/model/model_parts.h"
#include "lib/model/session.h"

#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace strandwave {

/// How a Session runs its feeds. Two ways: records in pieces with carried state, or whole records. The arguments are
/// checked by Session.
class Executor {
public:
    virtual ~Executor() = default;
    /// As Session has them: feeds are finished in the order in which they were started.
    virtual void start(FeedInput input, std::span<Piece const> pieces) = 0;
    virtual std::vector<RecordResult> finish() = 0;
    virtual LaneState save(index_t lane) const = 0;
    virtual void restore(index_t lane, LaneState const& state) = 0;
};

/// On the processor: a feed has run when it was started.
class CpuExecutor : public Executor {
public:
    void start(FeedInput input, std::span<Piece const> pieces) final { results_.push_back(feed(input, pieces)); }
    std::vector<RecordResult> finish() final {
        auto results = std::move(results_.front());
        results_.pop_front();
        return results;
    }
    virtual std::vector<RecordResult> feed(FeedInput input, std::span<Piece const> pieces) = 0;

private:
    std::deque<std::vector<RecordResult>> results_;
};

/// Records in pieces, blocks of them side by side on `workers` threads.
std::unique_ptr<CpuExecutor> make_causal_executor(std::shared_ptr<Model const> model, Threads& threads,
                                                  SessionOptions const& options, int workers);

/// The same, and records that come whole are shared out among the threads.
std::unique_ptr<CpuExecutor> make_record_parallel_executor(std::shared_ptr<Model const> const& model, Threads& threads,
                                                           SessionOptions const& options);

/// Whole records only, for models that read both ways.
std::unique_ptr<CpuExecutor> make_whole_record_executor(std::shared_ptr<Model const> model, Threads& threads,
                                                        SessionOptions const& options);

/// Whole records or pieces, on the GPU that the model was loaded for. Only in a build with CUDA.
std::unique_ptr<Executor> make_cuda_executor(std::shared_ptr<Model const> model, SessionOptions const& options);

/// The state of a lane before its first row.
LaneState make_zero_state(ModelConfig const& config);

/// Throws shape_mismatch unless `state` is one of a model like that of `zero`.
void check_state(LaneState const& state, LaneState const& zero);

/// The published order of a mirrored stream is the reverse of ours: its first row is our last.
Pooling pooling_of_stream(Pooling pooling, bool mirrored) noexcept;

/// What a PositionSink sees of an RC-equivariant model: `[n, 2 * d_model]`, position t of `own` `[n, d_model]` beside
/// the same base of the other strand, whose rows run the other way.
Buffer<float> both_strands(View<float const, 2> own, View<float const, 2> opposite, bool mirrored);

/// Which streams a session's caller wants to see, and so how many layers have to run.
class Taps {
public:
    Taps(SessionOptions const& options, index_t n_layer);

    bool sinks(index_t layer) const noexcept; ///< the sink wants this stream
    bool pools(index_t layer) const noexcept { return pool_ && layer == pooled_; }
    index_t layers() const noexcept { return layers_; } ///< to run
    bool final_norm() const noexcept { return sinks(kFinalNorm) || pools(kFinalNorm); }

private:
    std::vector<index_t> sunk_;
    index_t pooled_;
    bool pool_;
    index_t layers_ = 0;
};

/// Vectors of the rows [begin, begin + x.rows) of a feed: embedded tokens, or projected frames. `frames` is scratch of
/// x.rows * frame_floats for a model that reads frames.
void embed_rows(Model::Parts const& parts, FeedInput const& input, index_t begin, index_t count, Buffer<float>& frames,
                View<float, 2> x);

} // namespace strandwave
