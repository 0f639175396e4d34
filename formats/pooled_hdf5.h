#pragma once

#include "formats/embedding_table.h"

#include <filesystem>

namespace strandwave {

/// Writes an embedding as one HDF5 file, the sister of Hdf5Writer for one vector a row:
///   /embeddings   fp32 [rows, width], chunked
///   /names, /starts, /ends   one entry a row (UTF-8 strings and 64-bit integers)
///   /starts_s, /ends_s   of sound only, fp64 seconds
///   for each text column its name and an s
/// and the attributes `program` and `input` of the file. Whole or not at all, in bounded memory.
/// Not thread-safe, see Hdf5File. Throws io, what EmbeddingTable throws.
void write_pooled_hdf5(EmbeddingTable const& table, EmbeddingOrigin const& origin, std::filesystem::path const& path);

} // namespace strandwave
