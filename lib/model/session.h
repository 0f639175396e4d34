#pragma once

#include "kernels/pooling/pooling.h"
#include "lib/core/threads.h"
#include "lib/core/view.h"
#include "lib/model/model.h"
#include "lib/model/state.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// A run of consecutive positions (tokens or frames) of one record. A feed is a list of pieces, packed: each piece's
/// positions stand right behind those of the piece before. No piece sees another one unless they share a lane.
struct Piece {
    index_t length = 0; ///< positions; 0 is allowed (an empty record)
    index_t lane = 0;   ///< which carried state the piece continues
    bool first = true;  ///< a new record: the lane's state is zeroed before
    bool last = true;   ///< the record ends here: its result comes back from this feed
};

/// What a feed brings: token ids, or frames `[positions, frame_length]`. One of the two is empty.
struct FeedInput {
    std::span<std::int32_t const> tokens;
    View<float const, 2> frames;
};

/// A record that ended in a feed.
struct RecordResult {
    index_t lane = 0;
    index_t length = 0;        ///< positions of the whole record, over all its feeds
    std::vector<float> pooled; ///< [d_model]; both strands averaged for an RC-equivariant model; zeros if length is 0
};

/// Receives vectors of single positions while a feed runs. Calls come from several threads at once, never twice for the
/// same positions of a layer.
class PositionSink {
public:
    virtual ~PositionSink() = default;

    /// `hidden` is `[n, strands * d_model]` for the positions `begin .. begin + n` of the feed. For an RC-equivariant
    /// model the second half of a row is the other strand at the same base, its channels in that strand's own order.
    /// `layer` is 0 for the embedding, K for the residual stream after K layers, kFinalNorm for the normed output.
    virtual void positions(index_t layer, index_t begin, View<float const, 2> hidden) = 0;
};

/// The stream behind the last layer and the final norm: what heads read.
inline constexpr index_t kFinalNorm = -1;

/// Rows of every GEMM unless asked otherwise: the library is at full speed, and a block's activations fit a core's L2.
inline constexpr index_t kDefaultTokenBlock = 128;

/// Where a record on a GPU may be cut without a change of bits.
inline constexpr index_t kChunkUnit = 256;

struct SessionOptions {
    index_t lanes = 1; ///< records that may be open at once
    Pooling pooling = Pooling::mean;
    index_t layer = kFinalNorm;               ///< which stream is pooled
    index_t token_block = kDefaultTokenBlock; ///< rows of every GEMM on the processor; 1 suits feeds of
                                              ///< single tokens, on a GPU too
    PositionSink* sink = nullptr;             ///< not owned
    std::vector<index_t> sink_layers;         ///< which streams the sink wants
    bool pool = true;                         ///< false: results carry no pooled vector
    index_t step_rows = 0;                    ///< on a GPU: rows that run together; 0: what suits its free memory
    std::function<void(std::string const&)> notice = {}; ///< told what a user should know, such as a smaller step
};

/// Runs a model over streams of any length. Everything that changes lives here; the model is shared and immutable.
///
/// Chunks: feeding a record in pieces of any length gives the bits of one feed, for one build, machine and token_block:
/// the scan walks time in order, and every GEMM has token_block rows, padded, whatever the pieces. On a GPU the same
/// holds for pieces of a multiple of kChunkUnit positions; other cuts differ by fp32 rounding in the scan. There, with
/// token_block 1, a feed of a single position takes another way (a decoder's), whose bits are its own.
/// Company: a record's bits do not depend on the other records, lanes or threads.
/// Bidirectional models need whole records: every piece must be first and last (Error unsupported), and one feed must
/// fit in memory (Error too_large, naming the size; the remedy is to cut the record into windows).
/// Not thread-safe; use one Session per stream of feeds.
class Session {
public:
    Session(std::shared_ptr<Model const> model, Threads& threads, SessionOptions options);
    ~Session();

    /// Runs the pieces, in order. Returns the records that ended, in the order in which they ended.
    /// Throws shape_mismatch (lengths do not add up), invalid_argument (a token outside the vocabulary, naming its
    /// position; a lane out of range), too_large, unsupported.
    std::vector<RecordResult> feed(FeedInput input, std::span<Piece const> pieces);

    /// feed in two halves, so that a GPU need not stand still between feeds: start the next one, then finish this one.
    /// `start` returns when the input is no longer needed; on the processor it runs the whole feed. It throws what feed
    /// throws, and the feed is not started then.
    void start(FeedInput input, std::span<Piece const> pieces);
    /// Waits for the oldest feed that was started and not finished. Returns what feed returns. Throws invalid_argument
    /// if there is none, device if the GPU failed in the meantime.
    std::vector<RecordResult> finish();

    /// The state of a lane behind all feeds, as a value, to copy, keep or restore into another session of the same
    /// model.
    LaneState save(index_t lane) const;
    void restore(index_t lane, LaneState const& state);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace strandwave
