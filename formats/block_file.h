#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace strandwave {

/// A file that grows in blocks and can be gone on with by a later process. It is called `<path>.part` until it is
/// complete, and a process that ends leaves the part where it is.
///
/// With BGZF each block ends a BGZF block, so that the bytes of a block depend on its text alone: blocks that several
/// processes wrote, one behind the other, are the file that one would have written. Not thread-safe.
class BlockFile {
public:
    enum class Compression : std::uint8_t { none, bgzf };

    /// Keeps the first `keep_bytes` of a part that is there and goes on behind them; 0 starts anew.
    /// Throws io; invalid_argument for a name that is too long; not_found when the part is shorter than that.
    BlockFile(std::filesystem::path path, Compression compression, index_t keep_bytes = 0);
    ~BlockFile(); ///< what was written behind the last end_block may be lost
    BlockFile(BlockFile const&) = delete;
    BlockFile& operator=(BlockFile const&) = delete;

    void write(std::string_view text); ///< throws io, as on a full disk

    /// All that was written is in the file. The file's size. Throws io.
    index_t end_block();

    /// Replaces the first bytes of the file, which must not be compressed: a header that was not complete before.
    /// Throws io, invalid_argument.
    void overwrite_start(std::string_view text);

    /// The end of the file. `<path><suffix>` appears, replacing a file of that name. Throws io.
    void commit(std::string_view suffix = "");

    std::filesystem::path const& path() const noexcept { return path_; }

private:
    void compress();
    void flush();
    void put(char const* data, std::size_t bytes);

    std::filesystem::path path_;
    Compression compression_;
    int descriptor_ = -1;
    index_t bytes_ = 0;      ///< in the file
    std::string text_;       ///< not compressed yet
    std::string compressed_; ///< scratch
};

/// What a file that is not complete yet is called.
std::filesystem::path part_path(std::filesystem::path const& path);

// For writers of other formats that grow in the same way:

/// Opens the part, cut to the bytes that are kept, to be written behind them; the caller closes it. Throws as
/// BlockFile.
int open_part(std::filesystem::path const& path, index_t keep_bytes);
/// The part is closed; it is called `<path><suffix>` now. Throws io.
void put_part_in_place(std::filesystem::path const& path, std::string_view suffix);
void remove_parts(std::span<std::filesystem::path const> paths); ///< those that are there

} // namespace strandwave
