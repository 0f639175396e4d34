#include "pipelines/batch/embedding_output.h"

#include "formats/embedding_export.h"
#include "formats/npy.h"

#include <utility>

namespace strandwave {
namespace {

std::filesystem::path with_suffix(std::filesystem::path path, std::string_view suffix) { return path += suffix; }

index_t kept(std::vector<index_t> const& bytes, std::size_t file) { return bytes.empty() ? 0 : bytes[file]; }

} // namespace

EmbeddingOutput::EmbeddingOutput(std::filesystem::path const& stem, std::string ending, index_t d_model, bool sound,
                                 EmbeddingOrigin origin, std::vector<index_t> const& keep_bytes)
    : ending_(std::move(ending)), d_model_(d_model), origin_(std::move(origin)),
      array_(with_suffix(stem, ".embeddings.npy"), BlockFile::Compression::none, kept(keep_bytes, 0)),
      table_(with_suffix(stem, ".embeddings.tsv"), BlockFile::Compression::none, kept(keep_bytes, 1)) {
    if (!keep_bytes.empty()) { return; }
    array_.write(npy_header({0, d_model_}));
    array_.end_block();
    table_.write(unit_table_header(sound));
    table_.end_block();
}

void EmbeddingOutput::write(UnitResult const& result, ClassRow const*) {
    array_.write({reinterpret_cast<char const*>(result.vector.data()), result.vector.size() * sizeof(float)});
    text_.clear();
    append_unit_row(result.unit, text_);
    table_.write(text_);
}

std::vector<index_t> EmbeddingOutput::end_block(index_t) { return {array_.end_block(), table_.end_block()}; }

std::vector<std::filesystem::path> EmbeddingOutput::paths() const { return {array_.path(), table_.path()}; }

std::vector<std::filesystem::path> EmbeddingOutput::finish(std::string_view suffix) {
    auto const header = static_cast<index_t>(npy_header({0, d_model_}).size());
    index_t const rows = (array_.end_block() - header) / (d_model_ * index_t{sizeof(float)});
    array_.overwrite_start(npy_header({rows, d_model_}));
    array_.commit(suffix);
    table_.commit(suffix);
    auto const array = with_suffix(array_.path(), suffix);
    auto const table = with_suffix(table_.path(), suffix);
    if (ending_ == ".npy") { return {array, table}; }
    auto whole = array_.path();
    whole.replace_extension(ending_);
    export_embeddings(EmbeddingTable(array, table), whole, origin_);
    std::filesystem::remove(array);
    std::filesystem::remove(table);
    if (!suffix.empty()) { std::filesystem::rename(whole, with_suffix(whole, suffix)); }
    return {with_suffix(whole, suffix)};
}

} // namespace strandwave
