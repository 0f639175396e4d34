#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace strandwave {

/// A regular file mapped read-only. Pages come in on first touch and may be dropped again at any time.
class MappedFile {
public:
    /// Throws not_found, io (a directory, a pipe, or what the operating system refuses).
    explicit MappedFile(std::filesystem::path const& path);
    ~MappedFile();
    MappedFile(MappedFile const&) = delete;
    MappedFile& operator=(MappedFile const&) = delete;

    std::span<std::byte const> bytes() const noexcept { return {data_, size_}; }
    void drop_pages() const noexcept;

private:
    std::byte const* data_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace strandwave
