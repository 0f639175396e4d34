#pragma once

#include "pipelines/batch/batch_journal.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace strandwave {

/// Joins the output folders of all shards of a batch into `out`: the outputs that one run would have written, each
/// whole or not there, and a journal of them, which is returned. It is held back, so that `out` holds no batch before
/// its caller releases it. `shards` come in any order. Throws invalid_argument (shards of different jobs, one missing
/// or twice), not_found (a folder without a journal, an input that was not done: a shard that has to be gone on with),
/// io, malformed_input (a file is not as it was written).
std::unique_ptr<BatchJournal> merge_shards(std::vector<std::filesystem::path> const& shards,
                                           std::filesystem::path const& out);

} // namespace strandwave
