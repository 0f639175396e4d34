#include "lib/checkpoint/mapped_file.h"

#include "lib/core/error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strandwave {
namespace {

class FileDescriptor {
public:
    explicit FileDescriptor(std::filesystem::path const& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    ~FileDescriptor() {
        if (fd_ >= 0) { ::close(fd_); }
    }
    FileDescriptor(FileDescriptor const&) = delete;
    FileDescriptor& operator=(FileDescriptor const&) = delete;

    int get() const noexcept { return fd_; }

private:
    int fd_;
};

[[noreturn]] void fail(std::filesystem::path const& path, std::string const& what) {
    auto const code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    throw Error(code, path.string() + ": " + what + ": " + std::strerror(errno));
}

} // namespace

MappedFile::MappedFile(std::filesystem::path const& path) {
    // Asked before the file is opened: opening a pipe would wait for its writer.
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) { fail(path, "cannot open"); }
    if (!S_ISREG(status.st_mode)) { throw Error(ErrorCode::io, path.string() + ": not a regular file"); }
    FileDescriptor const file(path);
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) { fail(path, "cannot open"); }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) { return; }
    void* const address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (address == MAP_FAILED) { fail(path, "cannot map"); }
    data_ = static_cast<std::byte const*>(address);
}

MappedFile::~MappedFile() {
    if (data_ != nullptr) { ::munmap(const_cast<std::byte*>(data_), size_); }
}

void MappedFile::drop_pages() const noexcept {
    if (data_ != nullptr) { ::madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED); }
}

} // namespace strandwave
