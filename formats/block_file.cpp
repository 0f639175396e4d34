#include "formats/block_file.h"

#include "lib/core/error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <htslib/bgzf.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace strandwave {
namespace {

constexpr std::size_t kPlainBuffer = std::size_t{1} << 16;

/// The empty BGZF block that ends a file (SAM specification, section 4.1.2).
constexpr std::string_view kBgzfEnd("\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0\x42\x43\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0",
                                    28);

[[noreturn]] void fail(std::filesystem::path const& path, std::string const& what) {
    // A name that is too long concerns this file only; all else concerns the disk.
    throw Error(errno == ENAMETOOLONG ? ErrorCode::invalid_argument : ErrorCode::io,
                path.string() + ": " + what + ": " + std::strerror(errno));
}

} // namespace

std::filesystem::path part_path(std::filesystem::path const& path) {
    auto part = path;
    return part += ".part";
}

int open_part(std::filesystem::path const& path, index_t keep_bytes) {
    auto const part = part_path(path);
    int const descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) { fail(path, "cannot be written"); }
    struct stat status {};
    bool const known = ::fstat(descriptor, &status) == 0;
    bool const too_short = known && status.st_size < keep_bytes;
    if (known && !too_short && ::ftruncate(descriptor, keep_bytes) == 0 &&
        ::lseek(descriptor, keep_bytes, SEEK_SET) == keep_bytes) {
        return descriptor;
    }
    int const reason = errno;
    ::close(descriptor);
    if (too_short) {
        throw Error(ErrorCode::not_found, part.string() + ": has less than the " + std::to_string(keep_bytes) +
                                              " bytes that were written of it");
    }
    errno = reason;
    fail(path, "cannot be gone on with");
}

void put_part_in_place(std::filesystem::path const& path, std::string_view suffix) {
    auto whole = path;
    whole += suffix;
    std::error_code failed;
    std::filesystem::rename(part_path(path), whole, failed);
    if (failed) { throw Error(ErrorCode::io, path.string() + ": cannot be renamed into place: " + failed.message()); }
}

void remove_parts(std::span<std::filesystem::path const> paths) {
    std::error_code ignored;
    for (auto const& path : paths) {
        std::filesystem::remove(part_path(path), ignored);
    }
}

BlockFile::BlockFile(std::filesystem::path path, Compression compression, index_t keep_bytes)
    : path_(std::move(path)), compression_(compression), descriptor_(open_part(path_, keep_bytes)), bytes_(keep_bytes) {
}

BlockFile::~BlockFile() {
    if (descriptor_ >= 0) { ::close(descriptor_); }
}

void BlockFile::write(std::string_view text) {
    auto const limit = compression_ == Compression::bgzf ? std::size_t{BGZF_BLOCK_SIZE} : kPlainBuffer;
    while (!text.empty()) {
        auto const now = std::min(text.size(), limit - text_.size());
        text_.append(text.substr(0, now));
        text.remove_prefix(now);
        if (text_.size() == limit) { flush(); }
    }
}

index_t BlockFile::end_block() {
    flush();
    return bytes_;
}

void BlockFile::flush() {
    if (text_.empty()) { return; }
    if (compression_ == Compression::bgzf) {
        compress();
    } else {
        put(text_.data(), text_.size());
    }
    text_.clear();
}

void BlockFile::compress() {
    constexpr int kDefaultLevel = -1;
    compressed_.resize(BGZF_MAX_BLOCK_SIZE);
    std::size_t bytes = compressed_.size();
    if (bgzf_compress(compressed_.data(), &bytes, text_.data(), text_.size(), kDefaultLevel) != 0) {
        throw Error(ErrorCode::io, path_.string() + ": could not be compressed");
    }
    put(compressed_.data(), bytes);
}

void BlockFile::put(char const* data, std::size_t bytes) {
    while (bytes > 0) {
        ssize_t const done = ::write(descriptor_, data, bytes);
        if (done < 0 && errno == EINTR) { continue; }
        if (done < 0) { fail(path_, "cannot be written"); }
        data += done;
        bytes -= static_cast<std::size_t>(done);
        bytes_ += done;
    }
}

void BlockFile::overwrite_start(std::string_view text) {
    flush();
    if (compression_ != Compression::none || static_cast<index_t>(text.size()) > bytes_) {
        throw Error(ErrorCode::invalid_argument, path_.string() + ": has no start of that size to replace");
    }
    if (::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
        fail(path_, "cannot be written");
    }
}

void BlockFile::commit(std::string_view suffix) {
    flush();
    if (compression_ == Compression::bgzf) { put(kBgzfEnd.data(), kBgzfEnd.size()); }
    if (::close(std::exchange(descriptor_, -1)) != 0) { fail(path_, "cannot be written"); }
    put_part_in_place(path_, suffix);
}

} // namespace strandwave
