#pragma once

#include "formats/embedding_table.h"
#include "formats/hdf5_file.h"

#include <functional>
#include <string>

namespace strandwave {

/// Write what an embedding holds as one dataset each, in bounded memory. The dataset comes back open, for attributes.
/// Throw io, what EmbeddingTable throws.
Hdf5Dataset write_vectors(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                          EmbeddingTable const& table);
Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, index_t EmbeddingRow::*member);
Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, double EmbeddingRow::*member);
Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, std::function<std::string(EmbeddingRow const&)> const& text);

} // namespace strandwave
