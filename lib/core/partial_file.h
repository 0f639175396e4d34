#pragma once

#include "lib/core/view.h"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace strandwave {

/// An output that is whole or not there: written under another name in the same folder, and renamed when it is done.
/// Without `commit()` nothing is left behind, and an older file of that name stays as it was.
class PartialFile {
public:
    /// Creates the empty file `partial_path()`. Throws io, naming the path and the reason.
    explicit PartialFile(std::filesystem::path path);
    ~PartialFile();
    PartialFile(PartialFile const&) = delete;
    PartialFile& operator=(PartialFile const&) = delete;

    std::filesystem::path const& path() const noexcept { return path_; }
    std::filesystem::path const& partial_path() const noexcept { return partial_path_; }

    void write_at(void const* from, index_t bytes, index_t offset) const; ///< from any thread. Throws io
    void reserve(index_t bytes) const;                                    ///< takes the disk space now. Throws io

    /// What was written is on the disk, so that a power loss behind `commit` does not leave an empty file in the place
    /// of an older one. Throws io. A file that is one of very many, and is checked before it is used, goes without.
    void sync() const;

    /// Gives the file its name. Throws io. A library that writes `partial_path()` by itself has to be done before.
    void commit();

private:
    std::filesystem::path path_;
    std::filesystem::path partial_path_;
    int descriptor_ = -1;
    bool committed_ = false;
};

/// Removes those of this process that are not committed, and lets no more be made or committed: it is about to end
/// without a word to the threads that write them.
void remove_open_partial_files();

/// All that was written to the file system of `folder` is on its disk: one wait, for any number of files. Throws io.
void sync_file_system(std::filesystem::path const& folder);

/// Removes what processes that were killed have left of such files in a folder and below it.
void remove_partial_files(std::filesystem::path const& folder);

/// Writes the pieces, one behind the other, as a file that is there whole or not at all, behind a power loss too.
/// Throws io.
void write_file_whole(std::filesystem::path const& path, std::span<std::span<std::byte const> const> pieces);
void write_file_whole(std::filesystem::path const& path, std::string_view text);

} // namespace strandwave
