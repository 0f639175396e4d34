#pragma once

#include "pipelines/batch/batch_journal.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

// Whether the disk has what the journal vouches for, of outputs that grow and of finished ones.

/// MD5 of the bytes by which each file has grown; `from` empty: from nothing. `files`: what they will be called.
std::vector<std::string> md5_of_growth(std::span<std::filesystem::path const> files, std::vector<index_t> const& from,
                                       std::vector<index_t> const& to);

/// How many blocks, from the first, have their bytes in the parts below `folder`.
std::size_t blocks_as_written(InputJournal const& known, std::filesystem::path const& folder);

/// All blocks, and what stands behind them where this shard has that.
bool parts_as_written(InputJournal const& known, std::filesystem::path const& folder);

/// A finished file below `folder` has the size and the MD5 that the journal gives it.
bool file_as_written(WrittenFile const& file, std::filesystem::path const& folder);

} // namespace strandwave
