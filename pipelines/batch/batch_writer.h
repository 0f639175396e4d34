#pragma once

#include "pipelines/batch/batch_run.h"

#include <optional>
#include <vector>

namespace strandwave {

/// Writes what comes back from the model into the outputs of its input, and the journal.
class BatchWriter final : public UnitListener {
public:
    /// `todo` and `begins`: see BatchRun.
    BatchWriter(BatchJob const& job, BatchJournal& journal, std::vector<index_t> const& todo,
                std::vector<InputBegin> const& begins, UnitListener& listener);

    void result(UnitResult const& result) override;
    void failure(UnitFailure const& failure) override;
    void block_begin(SourceMark const& mark) override;
    void block_end(SourceMark const& mark, BlockTally const& tally) override;
    void file_end(SourceMark const& mark, BlockTally const& tally) override;
    void progress(RunReport const& report) override { listener_.progress(report); }

private:
    BatchInput const& input(index_t place) const;
    template <class Body>
    void guard(index_t place, Body const& body);
    void open(SourceMark const& mark);
    void fail_file(index_t place, Error const& error);
    void write(UnitResult const& result);
    void finish(SourceMark const& mark, InputJournal& last);
    InputTally take_tally(SourceMark const& mark, BlockTally const& tally);

    BatchJob const& job_;
    BatchJournal& journal_;
    std::vector<index_t> const& todo_;
    std::vector<InputBegin> const& begins_;
    UnitListener& listener_;

    // Of the input that is read.
    std::optional<OutputSet> outputs_;
    std::vector<index_t> sizes_;      ///< of its files, as the journal has them
    bool refused_ = false;            ///< its outputs cannot be made; what comes of it is passed over
    index_t file_failures_ = 0;       ///< of the input, found here
    bool begun_ = false;              ///< a block, by this process
    std::vector<index_t> class_rows_; ///< since the last end of a block
    std::vector<FailedRecord> failures_;
};

} // namespace strandwave
