#pragma once

#include "formats/embedding_table.h"

#include <filesystem>

namespace strandwave {

/// Writes an embedding as numpy.savez has it: a ZIP of stored .npy files, for numpy.load without pickles.
///   embeddings   fp32 [rows, width]
///   names        unicode [rows], each element as wide as the longest name: 4 bytes a code point
///   starts, ends   int64 [rows]; for sound also starts_s, ends_s, float64
///   for each text column its name and an s: unicode [rows]
/// Whole or not at all, in bounded memory. ZIP64 where the file or an array passes 4 GiB, so that only 2^63 bytes limit
/// it. The same embedding gives the same bytes: no times are kept.
/// Throws io, what EmbeddingTable throws, too_large (names of more than 2^63 bytes).
void write_npz(EmbeddingTable const& table, std::filesystem::path const& path);

} // namespace strandwave
