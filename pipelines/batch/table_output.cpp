#include "pipelines/batch/table_output.h"

#include <utility>

namespace strandwave {

TableOutput::TableOutput(std::filesystem::path path, BlockFile::Compression compression, ClassTable table,
                         index_t keep_bytes)
    : table_(std::move(table)), file_(std::move(path), compression, keep_bytes) {
    if (keep_bytes > 0) { return; }
    file_.write(table_.header());
    file_.end_block();
}

void TableOutput::write(UnitResult const&, ClassRow const* row) {
    text_.clear();
    table_.append(*row, text_);
    file_.write(text_);
}

std::vector<index_t> TableOutput::end_block(index_t) { return {file_.end_block()}; }

std::vector<std::filesystem::path> TableOutput::paths() const { return {file_.path()}; }

std::vector<std::filesystem::path> TableOutput::finish(std::string_view suffix) {
    auto name = file_.path();
    file_.commit(suffix);
    return {name += suffix};
}

} // namespace strandwave
