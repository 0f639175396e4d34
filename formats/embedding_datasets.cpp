#include "formats/embedding_datasets.h"

#include <algorithm>
#include <vector>

namespace strandwave {
namespace {

/// No more than there are rows: a chunk that is not full takes its whole place.
index_t chunk_rows(EmbeddingTable const& table, index_t most) { return std::clamp<index_t>(table.rows(), 1, most); }

constexpr index_t kChunkRows = 4096;

template <class Number>
Hdf5Dataset write_numbers(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                          EmbeddingTable const& table, Hdf5Type type, Number EmbeddingRow::*member) {
    auto data = file.create_dataset(parent, name, type, 0, chunk_rows(table, kChunkRows));
    std::vector<Number> values;
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        values.clear();
        for (auto const& row : rows) {
            values.push_back(row.*member);
        }
        file.append(data, values.data(), static_cast<index_t>(values.size()));
    });
    return data;
}

} // namespace

Hdf5Dataset write_vectors(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                          EmbeddingTable const& table) {
    auto const row_bytes = table.width() * static_cast<index_t>(sizeof(float));
    auto data =
        file.create_dataset(parent, name, Hdf5Type::f32, table.width(), chunk_rows(table, hdf5_chunk_rows(row_bytes)));
    table.for_each_vectors([&](View<float const, 2> vectors) { file.append(data, vectors.data, vectors.rows); });
    return data;
}

Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, index_t EmbeddingRow::*member) {
    return write_numbers(file, parent, name, table, Hdf5Type::i64, member);
}

Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, double EmbeddingRow::*member) {
    return write_numbers(file, parent, name, table, Hdf5Type::f64, member);
}

Hdf5Dataset write_column(Hdf5File const& file, Hdf5Object const& parent, std::string const& name,
                         EmbeddingTable const& table, std::function<std::string(EmbeddingRow const&)> const& text) {
    auto data = file.create_dataset(parent, name, Hdf5Type::text, 0, chunk_rows(table, kChunkRows));
    std::vector<std::string> texts;
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        texts.clear();
        for (auto const& row : rows) {
            texts.push_back(text(row));
        }
        file.append(data, texts);
    });
    return data;
}

} // namespace strandwave
