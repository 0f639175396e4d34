#pragma once

#include "pipelines/unit_runner.h"

#include <filesystem>

namespace strandwave {

/// Vectors of all units: `array` is fp32 `[rows, d_model]` in NumPy's format, `table` (TSV: name, start, end,
/// and of sound both in seconds) has the row's place. Both appear whole or not at all; files of these names are
/// replaced. Throws io and what run_units throws.
RunReport embed_pooled(RecordSource& source, Models models, Threads& threads, UnitRunOptions const& options,
                       std::filesystem::path const& array, std::filesystem::path const& table, UnitListener& listener);

/// Vectors of every position, `[positions, hidden_width]` a unit, in HDF5 (layout in formats/hdf5_writer.h), named and
/// placed like the unit. Whole or not at all. The source must be `in_memory`; one that reads strands or windows gives
/// each an array of its own. Throws io, too_large (the disk fills up; checked before each feed is written) and what
/// run_units throws.
RunReport embed_positions(RecordSource& source, Models models, Threads& threads, UnitRunOptions options,
                          std::filesystem::path const& file, UnitListener& listener);

/// What embed_positions would write, found by reading the inputs without running the model.
index_t count_positions(RecordSource& source);

/// Free bytes where `file` is to be written. Throws io.
index_t free_disk_bytes(std::filesystem::path const& file);

} // namespace strandwave
