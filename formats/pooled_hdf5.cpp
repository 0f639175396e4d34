#include "formats/pooled_hdf5.h"

#include "formats/embedding_datasets.h"
#include "formats/hdf5_file.h"
#include "formats/utf8.h"

#include <utility>

namespace strandwave {

void write_pooled_hdf5(EmbeddingTable const& table, EmbeddingOrigin const& origin, std::filesystem::path const& path) {
    Hdf5File file(path);
    file.set_attribute(file.root(), "program", repair_utf8(origin.program));
    file.set_attribute(file.root(), "input", repair_utf8(origin.input));
    auto const finish = [&](Hdf5Dataset data) { file.close(data.object); };
    finish(write_vectors(file, file.root(), "embeddings", table));
    finish(write_column(file, file.root(), "names", table, [](EmbeddingRow const& row) { return row.name; }));
    finish(write_column(file, file.root(), "starts", table, &EmbeddingRow::start));
    finish(write_column(file, file.root(), "ends", table, &EmbeddingRow::end));
    if (table.in_seconds()) {
        finish(write_column(file, file.root(), "starts_s", table, &EmbeddingRow::start_s));
        finish(write_column(file, file.root(), "ends_s", table, &EmbeddingRow::end_s));
    }
    for (std::size_t i = 0; i < table.text_columns().size(); ++i) {
        finish(write_column(file, file.root(), table.text_columns()[i] + "s", table,
                            [i](EmbeddingRow const& row) { return row.texts[i]; }));
    }
    file.commit();
}

} // namespace strandwave
