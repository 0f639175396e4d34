#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace strandwave {

/// A file in memory that has a path: rewriting it thousands of times costs no disk.
class MemoryFile {
public:
    MemoryFile() : fd_(::memfd_create("strandwave-test", MFD_CLOEXEC)) {
        if (fd_ < 0) { throw std::runtime_error("no memory file"); }
    }
    ~MemoryFile() { ::close(fd_); }
    MemoryFile(MemoryFile const&) = delete;
    MemoryFile& operator=(MemoryFile const&) = delete;

    void write(std::string_view content) {
        bool const written = ::ftruncate(fd_, 0) == 0 &&
                             ::pwrite(fd_, content.data(), content.size(), 0) == static_cast<ssize_t>(content.size());
        if (!written) { throw std::runtime_error("cannot write the memory file"); }
    }
    std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

private:
    int fd_;
};

} // namespace strandwave
