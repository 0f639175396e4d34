#include "lib/core/partial_file.h"

#include "lib/core/error.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

constexpr std::string_view kPartial = ".partial-";

std::filesystem::path partial_name(std::filesystem::path const& path) {
    static std::atomic<int> count{0};
    auto name =
        path.filename().string() + std::string(kPartial) + std::to_string(::getpid()) + "-" + std::to_string(count++);
    return path.parent_path() / name;
}

Error output_error(std::filesystem::path const& path, std::string const& what, int error) {
    return Error(ErrorCode::io, path.string() + ": " + what + ": " + std::strerror(error));
}

/// Paths of the partial files of this process. Never destroyed: a thread may ask while the process ends.
struct OpenPartialFiles {
    std::mutex mutex;
    std::set<std::filesystem::path> paths;
};

OpenPartialFiles& open_partial_files() {
    static auto& files = *new OpenPartialFiles;
    return files;
}

} // namespace

PartialFile::PartialFile(std::filesystem::path path) : path_(std::move(path)), partial_path_(partial_name(path_)) {
    std::lock_guard const lock(open_partial_files().mutex);
    descriptor_ = ::open(partial_path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) { throw output_error(path_, "cannot be written", errno); }
    open_partial_files().paths.insert(partial_path_);
}

PartialFile::~PartialFile() {
    if (descriptor_ >= 0) { ::close(descriptor_); }
    std::error_code ignored;
    if (committed_) { return; }
    std::lock_guard const lock(open_partial_files().mutex);
    std::filesystem::remove(partial_path_, ignored);
    open_partial_files().paths.erase(partial_path_);
}

void PartialFile::write_at(void const* from, index_t bytes, index_t offset) const {
    auto const* data = static_cast<char const*>(from);
    while (bytes > 0) {
        ssize_t const done = ::pwrite(descriptor_, data, static_cast<std::size_t>(bytes), offset);
        if (done < 0 && errno == EINTR) { continue; }
        if (done < 0) { throw output_error(path_, "cannot be written", errno); }
        data += done;
        offset += done;
        bytes -= done;
    }
}

void PartialFile::reserve(index_t bytes) const {
    int const error = ::posix_fallocate(descriptor_, 0, bytes);
    if (error != 0) { throw output_error(path_, "cannot take " + std::to_string(bytes) + " bytes of disk", error); }
}

void PartialFile::commit() {
    if (::close(std::exchange(descriptor_, -1)) != 0) { throw output_error(path_, "cannot be written", errno); }
    std::lock_guard const lock(open_partial_files().mutex);
    std::error_code failed;
    std::filesystem::rename(partial_path_, path_, failed);
    if (failed) { throw Error(ErrorCode::io, path_.string() + ": cannot be renamed into place: " + failed.message()); }
    committed_ = true;
    open_partial_files().paths.erase(partial_path_);
}

void PartialFile::sync() const {
    if (::fsync(descriptor_) != 0 && errno != EINVAL) { throw output_error(path_, "cannot be written", errno); }
}

void remove_open_partial_files() {
    auto& files = open_partial_files();
    files.mutex.lock(); // for ever
    std::error_code ignored;
    for (auto const& path : files.paths) {
        std::filesystem::remove(path, ignored);
    }
}

void sync_file_system(std::filesystem::path const& folder) {
    int const descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool const synced = descriptor >= 0 && ::syncfs(descriptor) == 0;
    int const reason = errno;
    if (descriptor >= 0) { ::close(descriptor); }
    if (!synced) { throw output_error(folder, "could not be written to the disk", reason); }
}

void remove_partial_files(std::filesystem::path const& folder) {
    std::vector<std::filesystem::path> left;
    std::error_code ignored;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(folder, ignored)) {
        auto const name = entry.path().filename().string();
        auto const ending = name.rfind(kPartial);
        bool const numbers = ending != std::string::npos &&
                             name.find_first_not_of("0123456789-", ending + kPartial.size()) == std::string::npos;
        if (numbers && entry.is_regular_file(ignored)) { left.push_back(entry.path()); }
    }
    for (auto const& path : left) {
        std::filesystem::remove(path, ignored);
    }
}

void write_file_whole(std::filesystem::path const& path, std::span<std::span<std::byte const> const> pieces) {
    PartialFile file(path);
    index_t offset = 0;
    for (auto const& piece : pieces) {
        file.write_at(piece.data(), static_cast<index_t>(piece.size()), offset);
        offset += static_cast<index_t>(piece.size());
    }
    file.sync();
    file.commit();
}

void write_file_whole(std::filesystem::path const& path, std::string_view text) {
    auto const bytes = std::as_bytes(std::span(text));
    write_file_whole(path, std::span(&bytes, 1));
}

} // namespace strandwave
