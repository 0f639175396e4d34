#pragma once

#include "formats/embedding_table.h"

#include <filesystem>

namespace strandwave {

/// Writes an embedding as an AnnData file (.h5ad, on-disk format of anndata 0.8), an observation a row:
///   X     fp32 [rows, width]
///   obs   index: the names, made to differ as anndata does (`-1` behind the second of a name); columns name (as it
///         was), start, end, for sound start_s and end_s, the text columns, or if there is none input, a category
///   var   index: dim_0, dim_1, ...
///   uns   program
/// Source: anndata documentation, "On-disk format" of version 0.8. Whole or not at all, in memory of 8 bytes a row.
/// Not thread-safe, see Hdf5File. Throws io, what EmbeddingTable throws.
void write_anndata(EmbeddingTable const& table, EmbeddingOrigin const& origin, std::filesystem::path const& path);

} // namespace strandwave
