#pragma once

#include "lib/core/threads.h"
#include "lib/model/session.h"
#include "pipelines/record_source.h"

#include <functional>
#include <memory>
#include <vector>

namespace strandwave {

/// One row: the vector of a unit, of a record's windows (`per_record`), of both strands.
struct UnitResult {
    Unit unit;                 ///< per_record: from the first window's start to the last one's end
    index_t positions = 0;     ///< tokens or frames that the model read, strands and windows added up
    std::vector<float> vector; ///< pooled `[d_model]`, or `[labels]` logits
};

/// A unit that could not be read or run.
struct UnitFailure {
    Unit unit;
    Error error;
};

/// What a run did; for the summary.
struct RunReport {
    SourceCounts source;
    index_t rows = 0;        ///< results given
    index_t positions = 0;   ///< tokens or frames fed
    index_t no_position = 0; ///< units without any position after encoding (all N, with n = skip): no result
    index_t failed = 0;      ///< records and files, each given to the listener
};

struct UnitRunOptions {
    index_t chunk = 16384; ///< positions a feed; larger units are fed in pieces, small ones together
    Pooling pooling = Pooling::mean;
    index_t layer = kFinalNorm;
    bool logits = false; ///< the classifier's logits instead of the pooled vector
    bool positions =
        false; ///< the vectors of single positions instead of results; neither strands nor windows are averaged
    bool per_record = false; ///< mean over the windows of a record
};

/// What the caller learns while a run goes on. Called from the calling thread, in input order.
class UnitListener {
public:
    virtual ~UnitListener() = default;
    virtual void result(UnitResult const&) {}
    /// The next positions `[n, hidden_width]` of a unit, and whether they are its last.
    virtual void positions(Unit const&, View<float const, 2>, bool) {}
    virtual void failure(UnitFailure const&) {}
    virtual void progress(RunReport const&) {} ///< after each feed
};

/// Reads the source to its end through the model: pack, feed, average strands and windows, hand out in input order.
/// Vectors of strands and of windows are averaged in double. Throws what listener and Session throw, but for a unit
/// that is too large for the Session, which is a failure.
RunReport run_units(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
                    UnitRunOptions const& options, UnitListener& listener);

} // namespace strandwave
