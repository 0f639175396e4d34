#include "formats/guarded_reader.h"

#include <new>

namespace strandwave {

Result<ReadOutcome> GuardedReader::next(SequenceChunk& chunk, index_t max_symbols) {
    if (final_outcome_) { return *final_outcome_; }
    if (max_symbols < 1) {
        return Error(ErrorCode::invalid_argument, "a reader was asked for chunks of " + std::to_string(max_symbols) +
                                                      " bases; at least 1 is needed");
    }
    try {
        auto const outcome = read(chunk, max_symbols);
        if (outcome == ReadOutcome::end_of_stream) { final_outcome_ = outcome; }
        return outcome;
    } catch (Error const& error) { final_outcome_ = error; } catch (std::bad_alloc const&) {
        final_outcome_ = Error(ErrorCode::too_large, "a chunk of " + std::to_string(max_symbols) +
                                                         " bases does not fit in memory; read in smaller chunks");
    }
    return *final_outcome_;
}

} // namespace strandwave
