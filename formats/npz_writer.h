#pragma once

#include "formats/embedding_table.h"

#include <filesystem>

namespace strandwave {

inline constexpr index_t kMostTextBytes = index_t{1} << 30;

/// Writes an embedding as numpy.savez has it: a ZIP of stored .npy files, for numpy.load without pickles.
///   embeddings   fp32 [rows, width]
///   names        unicode [rows], each element as wide as the longest name: 4 bytes a code point
///   starts, ends   int64 [rows]; for sound also starts_s, ends_s, float64
///   for each text column its name and an s: unicode [rows]
/// Whole or not at all, in bounded memory. ZIP64 where the file or an array passes 4 GiB. The same embedding gives the
/// same bytes: no times are kept.
/// One very long name makes all others as wide. An array of text that would take more than the vectors do, and more
/// than `most_text_bytes`, is refused before anything is written: too_large. Throws also io, what EmbeddingTable
/// throws.
void write_npz(EmbeddingTable const& table, std::filesystem::path const& path,
               index_t most_text_bytes = kMostTextBytes);

} // namespace strandwave
