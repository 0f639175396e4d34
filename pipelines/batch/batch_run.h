#pragma once

#include "pipelines/batch/batch_input.h"
#include "pipelines/batch/batch_journal.h"
#include "pipelines/batch/output_set.h"
#include "pipelines/unit_runner.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// Which part of a batch a process does. By files: every count-th input, whole. By records: of each input every
/// count-th block, beginning with another one for each input; the parts are put together by merge_shards.
struct Shard {
    index_t number = 0; ///< 0-based
    index_t count = 1;
    bool by_records = false;

    bool has_input(index_t input) const { return by_records || input % count == number; }
    bool has_block(index_t input, index_t block) const {
        return !by_records || (input + std::max<index_t>(block, 0)) % count == number;
    }
    bool leaves_parts() const { return by_records && count > 1; }
};

struct BatchJob {
    std::vector<BatchInput> inputs; ///< all, those of other shards too
    OutputSpec outputs;
    RecordSourceOptions source; ///< mates, marks and wanted are set here
    UnitRunOptions run;         ///< logits too
    double min_probability = 0;
    Shard shard;
    bool fail_fast = false;
    JobSettings settings;                                ///< what the bytes of the outputs depend on
    std::function<void(std::string const&)> notice = {}; ///< an input that is read again, and why
};

/// Where an input is gone on with.
struct InputBegin {
    index_t first_block = 0;
    std::vector<index_t> keep_bytes; ///< of the files that grow; empty: from nothing
};

/// Thrown, with BatchJob::fail_fast, behind the first failure.
struct FailedFast {};

/// One run over the inputs of a batch: an output a piece (OutputSet), a journal of what is complete, and what is left
/// of a run that was ended at any moment is gone on with.
class BatchRun {
public:
    /// Begins anew, or with `resume` goes on where a journal says; without a journal that is the same.
    /// Throws invalid_argument (settings or inputs differ from the journal's; options that contradict one another), io,
    /// malformed_input (the journal).
    BatchRun(BatchJob job, bool resume);

    /// Indices of the inputs that are not complete.
    std::vector<index_t> const& todo() const noexcept { return todo_; }
    index_t complete() const noexcept { return complete_; } ///< inputs that an earlier run has completed

    /// `listener` hears failures and progress. Throws what run_units and the outputs throw; what is complete then
    /// stays so.
    RunReport run(Models models, Threads& threads, UnitListener& listener);

    BatchJob const& job() const noexcept { return job_; }
    BatchJournal const& journal() const noexcept { return *journal_; }

private:
    void open_journal(bool resume);
    void remove_old_batch(std::filesystem::path const& journal) const;
    void check_same_job(JournalHeader const& now);
    std::optional<InputBegin> begin_of(index_t input); ///< nothing: it is complete
    bool is_whole(InputJournal const& known) const;
    void remove_files(InputJournal const& known) const;
    void tell(BatchInput const& input, std::string const& what) const;

    BatchJob job_;
    std::unique_ptr<BatchJournal> journal_;
    std::vector<index_t> todo_;
    std::vector<InputBegin> begins_; ///< of each in todo_
    index_t complete_ = 0;
};

inline constexpr std::string_view kJournalName = "journal.jsonl";

} // namespace strandwave
