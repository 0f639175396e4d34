#pragma once

#include "formats/sequence_reader.h"

#include <optional>

namespace strandwave {

/// What the DNA readers share: they throw inside, and this turns what they throw into the values that SequenceReader
/// promises. Once a stream has ended or failed, it stays so: every later call gives the same outcome.
class GuardedReader : public SequenceReader {
public:
    Result<ReadOutcome> next(SequenceChunk& chunk, index_t max_symbols) final;

private:
    /// As next(), but throws.
    virtual ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) = 0;

    std::optional<Result<ReadOutcome>> final_outcome_;
};

} // namespace strandwave
