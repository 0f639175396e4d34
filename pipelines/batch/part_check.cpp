#include "pipelines/batch/part_check.h"

#include "formats/block_file.h"
#include "formats/checksum.h"

#include <system_error>

namespace strandwave {
namespace {

std::vector<std::filesystem::path> files_of(InputJournal const& known, std::filesystem::path const& folder) {
    std::vector<std::filesystem::path> files;
    files.reserve(known.parts.size());
    for (auto const& part : known.parts) {
        files.push_back(folder / part);
    }
    return files;
}

} // namespace

std::vector<std::string> md5_of_growth(std::span<std::filesystem::path const> files, std::vector<index_t> const& from,
                                       std::vector<index_t> const& to) {
    std::vector<std::string> md5;
    for (std::size_t i = 0; i < to.size(); ++i) {
        md5.push_back(md5_of_stretch(part_path(files[i]), from.empty() ? 0 : from[i], to[i]));
    }
    return md5;
}

std::size_t blocks_as_written(InputJournal const& known, std::filesystem::path const& folder) {
    auto const files = files_of(known, folder);
    std::vector<index_t> from;
    std::size_t count = 0;
    for (auto const& block : known.blocks) {
        if (block.sizes.size() != files.size() || md5_of_growth(files, from, block.sizes) != block.md5) { break; }
        from = block.sizes;
        ++count;
    }
    return count;
}

bool parts_as_written(InputJournal const& known, std::filesystem::path const& folder) {
    if (blocks_as_written(known, folder) < known.blocks.size()) { return false; }
    if (!known.has_last_block || known.sizes.empty()) { return true; }
    auto const from = known.blocks.empty() ? std::vector<index_t>() : known.blocks.back().sizes;
    return md5_of_growth(files_of(known, folder), from, known.sizes) == known.md5;
}

bool file_as_written(WrittenFile const& file, std::filesystem::path const& folder) {
    std::error_code error;
    auto const path = folder / file.name;
    auto const size = std::filesystem::file_size(path, error);
    return !error && static_cast<index_t>(size) == file.bytes && md5_of_file(path) == file.md5;
}

} // namespace strandwave
