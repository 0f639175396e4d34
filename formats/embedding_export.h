#pragma once

#include "formats/embedding_table.h"

#include <filesystem>

namespace strandwave {

/// Writes a table in the format that the ending of `out` names: .npz (npz_writer.h), .h5 or .hdf5 (pooled_hdf5.h),
/// .h5ad (anndata_writer.h). Whole or not at all; the same table gives the same bytes. Not thread-safe for the HDF5
/// ones, see Hdf5File. Throws invalid_argument for another ending, io, what EmbeddingTable throws.
void export_embeddings(EmbeddingTable const& table, std::filesystem::path const& out, EmbeddingOrigin const& origin);

} // namespace strandwave
