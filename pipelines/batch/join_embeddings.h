#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <string>

namespace strandwave {

struct JoinedEmbeddings {
    index_t inputs = 0;
    index_t rows = 0;
    index_t failed = 0;   ///< records and files
    index_t left_out = 0; ///< inputs that broke
    std::string first_left_out;
};

/// Puts the vectors of all inputs of a finished batch into one file, in the order of the inputs: .npy, with a .tsv of
/// the same stem beside it, or what export_embeddings writes. Text columns tell the rows of one input from those of
/// another: `input`, and where a sheet gave them `sample` and `label`. An input that broke is left out. Each file is
/// whole or not there. `program`: with its version.
/// Throws invalid_argument (a shard, a batch without .npy, another ending, a file of the batch), not_found (a folder
/// without a journal, an input that is not done), malformed_input (a file is not as it was written), io.
JoinedEmbeddings join_embeddings(std::filesystem::path const& folder, std::filesystem::path const& out,
                                 std::string const& program);

} // namespace strandwave
