#pragma once

#include "formats/block_file.h"
#include "formats/embedding_table.h"
#include "pipelines/batch/block_output.h"

#include <string>

namespace strandwave {

/// The vectors of an input: `<stem>.embeddings.npy` and, beside it, `.tsv` with the place of each row. With an ending
/// other than ".npy" (".npz", ".h5", ".h5ad") that file is made of the two at the end, in their place.
class EmbeddingOutput final : public BlockOutput {
public:
    /// `keep_bytes`: of the array and of the table, or empty.
    EmbeddingOutput(std::filesystem::path const& stem, std::string ending, index_t d_model, bool sound,
                    EmbeddingOrigin origin, std::vector<index_t> const& keep_bytes);

    void write(UnitResult const& result, ClassRow const* row) override;
    std::vector<index_t> end_block(index_t ordinal) override;
    std::vector<std::filesystem::path> paths() const override;
    std::vector<std::filesystem::path> finish(std::string_view suffix) override;

private:
    std::string ending_;
    index_t d_model_;
    EmbeddingOrigin origin_;
    BlockFile array_, table_;
    std::string text_;
};

} // namespace strandwave
