#pragma once

#include "pipelines/batch/batch_run.h"

#include <string>
#include <vector>

namespace strandwave {

/// What became of all inputs of a batch, added up.
struct BatchTotals {
    index_t inputs = 0;
    index_t complete = 0;
    index_t failed_inputs = 0; ///< that did not open, or broke
    InputTally tally;
};

/// Of the inputs that the journal knows.
BatchTotals batch_totals(std::vector<BatchInput> const& inputs, BatchJournal const& journal);

/// summary.tsv and failures.tsv of an output folder: a row an input that the journal knows, in the order of the inputs,
/// and a row a record or file that failed. They depend on the inputs and settings alone. Throws io.
void write_batch_tables(std::filesystem::path const& folder, std::vector<BatchInput> const& inputs,
                        std::vector<std::string> const& labels, BatchJournal const& journal);

} // namespace strandwave
