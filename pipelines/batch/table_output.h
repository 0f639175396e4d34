#pragma once

#include "formats/block_file.h"
#include "pipelines/batch/block_output.h"

#include <string>

namespace strandwave {

/// A row a unit, as text.
class TableOutput final : public BlockOutput {
public:
    TableOutput(std::filesystem::path path, BlockFile::Compression compression, ClassTable table, index_t keep_bytes);

    void write(UnitResult const& result, ClassRow const* row) override;
    std::vector<index_t> end_block(index_t ordinal) override;
    std::vector<std::filesystem::path> paths() const override;
    std::vector<std::filesystem::path> finish(std::string_view suffix) override;

private:
    ClassTable table_;
    BlockFile file_;
    std::string text_;
};

} // namespace strandwave
