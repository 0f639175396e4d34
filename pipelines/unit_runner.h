#pragma once

#include "lib/core/threads.h"
#include "lib/model/session.h"
#include "pipelines/record_source.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// One row: the vector of a unit, of a record's windows or of two mates (`per_record`), of both strands.
struct UnitResult {
    Unit unit; ///< per_record: from the first window's start to the last one's end; mates count as one behind the other
    index_t positions = 0;     ///< tokens or frames that the model read, strands and windows added up
    std::vector<float> vector; ///< pooled `[d_model]`, or `[labels]` logits
};

/// A unit that could not be read or run.
struct UnitFailure {
    Unit unit;
    Error error;
    bool file_broken = false; ///< nothing more of its file was read
};

/// What a run did; for the summary.
struct RunReport {
    SourceCounts source;
    index_t rows = 0;         ///< results given
    index_t positions = 0;    ///< tokens or frames fed
    index_t no_position = 0;  ///< units without any position after encoding (all N, with n = skip): no result
    index_t failed = 0;       ///< records and files, each given to the listener
    double model_seconds = 0; ///< that a model computed, on average over the models
};

/// What came of a block (SourceMark), as far as it was read.
struct BlockTally {
    index_t rows = 0;
    index_t positions = 0; ///< of the rows, strands and windows added up
    index_t no_position = 0;
    index_t failed = 0;
};

struct UnitRunOptions {
    index_t chunk = 16384; ///< positions a feed; larger units are fed in pieces, small ones together
    Pooling pooling = Pooling::mean;
    index_t layer = kFinalNorm;
    bool logits = false; ///< the classifier's logits instead of the pooled vector
    bool positions =
        false; ///< the vectors of single positions instead of results; neither strands nor windows are averaged
    bool per_record = false;                             ///< mean over the windows of a record; over mates it always is
    std::function<void(std::string const&)> notice = {}; ///< SessionOptions::notice; called as the listener is
};

/// What the caller learns while a run goes on. Calls come one at a time and in input order, but from any thread of the
/// pool, while the next feeds are read and run.
class UnitListener {
public:
    virtual ~UnitListener() = default;
    virtual void result(UnitResult const&) {}
    /// The next positions `[n, hidden_width]` of a unit, and whether they are its last.
    virtual void positions(Unit const&, View<float const, 2>, bool) {}
    virtual void failure(UnitFailure const&) {}
    // With RecordSourceOptions::marks, between the results around them:
    virtual void block_begin(SourceMark const&) {}
    virtual void block_end(SourceMark const&, BlockTally const&) {}
    virtual void file_end(SourceMark const&, BlockTally const&) {} ///< the tally since the last end of a block
    virtual void progress(RunReport const&) {} ///< after each feed, with what was read when it was packed
};

/// The same model, once for each device that computes; the first one's head makes the logits.
using Models = std::span<std::shared_ptr<Model const> const>;

/// Feeds that are in memory for each model: one is packed, one waits for the model (on a GPU it is started already),
/// one is in it, one is handed out.
inline constexpr std::size_t kFeedsPerModel = 4;

/// Reads the source to its end through the model: pack, feed, average strands and windows, hand out in input order.
/// Reading and handing out run beside the model, so that it does not wait for files; up to kFeedsPerModel feeds a model
/// are in memory. Of several models each runs feeds of its own beside the others (but for threads.count() == 1). The
/// state of a unit is in one place, so units that are much longer than a feed run one after another all the same.
/// Vectors of strands and of windows are averaged in double. Throws what source, listener and Session throw, but for a
/// unit that is too large for the Session, which is a failure. To be called from outside the pool (Threads::pipeline).
RunReport run_units(RecordSource& source, Models models, Threads& threads, UnitRunOptions const& options,
                    UnitListener& listener);
inline RunReport run_units(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
                           UnitRunOptions const& options, UnitListener& listener) {
    return run_units(source, Models(&model, 1), threads, options, listener);
}

} // namespace strandwave
