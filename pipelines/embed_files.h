#pragma once

#include "pipelines/unit_runner.h"

#include <filesystem>
#include <string>

namespace strandwave {

/// Vectors of all units: `array` is fp32 `[rows, d_model]` in NumPy's format, `table` (TSV: name, start, end) has the
/// row's place. Both appear whole or not at all; files of these names are replaced.
/// Throws io and what run_units throws.
RunReport embed_pooled(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
                       UnitRunOptions const& options, std::filesystem::path const& array,
                       std::filesystem::path const& table, UnitListener& listener);

} // namespace strandwave
