#include "formats/embedding_export.h"

#include "formats/anndata_writer.h"
#include "formats/npz_writer.h"
#include "formats/pooled_hdf5.h"
#include "lib/core/error.h"

namespace strandwave {

void export_embeddings(EmbeddingTable const& table, std::filesystem::path const& out, EmbeddingOrigin const& origin) {
    auto const ending = out.extension();
    if (ending == ".npz") {
        write_npz(table, out);
    } else if (ending == ".h5" || ending == ".hdf5") {
        write_pooled_hdf5(table, origin, out);
    } else if (ending == ".h5ad") {
        write_anndata(table, origin, out);
    } else {
        throw Error(ErrorCode::invalid_argument,
                    out.string() + ": no format of embeddings; its name has to end in .npz, .h5, .hdf5 or .h5ad");
    }
}

} // namespace strandwave
