#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace strandwave {

/// A row of summary.tsv.
struct InputSummary {
    std::string input;  ///< as it was given to the batch
    std::string sample; ///< empty without a sheet
    std::string label;  ///< the truth of all its rows; empty: not known
    std::string status; ///< complete, failed or unfinished
    std::string error;
    index_t records = 0, rows = 0, failed = 0;
    std::vector<index_t> class_rows;  ///< rows of BatchSummary::classes; empty for embeddings
    std::vector<std::string> outputs; ///< below the batch's folder

    bool complete() const { return status == "complete"; }
    bool ended() const { return status != "unfinished"; }
};

struct NamedCount {
    std::string name;
    index_t count = 0;
};

/// summary.tsv. Sums are over all inputs.
struct BatchSummary {
    std::vector<std::string> classes; ///< of the columns n_<class>, in their order; unclassified is one of them
    std::vector<InputSummary> inputs;
    std::vector<NamedCount> skipped; ///< why records gave no row, and how many did not; reasons that occurred
    index_t records = 0, rows = 0, failed = 0, symbols = 0, tokens = 0;

    index_t complete() const;
    std::vector<index_t> class_rows() const; ///< of the complete inputs
};

/// Columns are found by name; those that nobody knows are passed over. A comma inside a name of `outputs` is told from
/// one between two names by looking which file is there. Throws what TabTable throws.
BatchSummary read_batch_summary(std::filesystem::path const& folder);

/// A row of failures.tsv, as text.
struct FailureRow {
    std::string input, record, name, code, message;
};

/// failures.tsv in bounded memory.
struct FailureDigest {
    index_t total = 0;
    std::map<std::string, index_t> by_code; ///< kMostCodes at most; further ones are counted as "other"
    std::vector<FailureRow> first;          ///< kFirstFailures at most
};
inline constexpr std::size_t kFirstFailures = 50;
inline constexpr std::size_t kMostCodes = 30;
FailureDigest read_failures(std::filesystem::path const& file); ///< throws what TabTable throws

} // namespace strandwave
