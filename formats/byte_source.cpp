#include "formats/byte_source.h"

#include "formats/open_descriptor.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace strandwave {
namespace {

index_t read_some(int descriptor, char* to, index_t bytes) {
    for (;;) {
        ssize_t const got = ::read(descriptor, to, static_cast<std::size_t>(bytes));
        if (got >= 0 || errno != EINTR) { return got; }
    }
}

} // namespace

std::string input_name(std::filesystem::path const& path) { return path == "-" ? "stdin" : path.string(); }

bool is_read_only_once(std::filesystem::path const& path) {
    std::error_code ignored;
    auto const kind = std::filesystem::status(path, ignored).type();
    return path == "-" || kind == std::filesystem::file_type::fifo || kind == std::filesystem::file_type::socket ||
           kind == std::filesystem::file_type::character;
}

Result<ByteSource> open_byte_source(std::filesystem::path const& path) {
    int const descriptor = open_descriptor(path);
    if (descriptor < 0) {
        auto const code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::io;
        return Error(code, input_name(path) + ": cannot be opened: " + std::strerror(errno));
    }
    auto const owner = std::shared_ptr<int>(new int(descriptor), [](int* held) {
        ::close(*held);
        delete held;
    });
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        return Error(ErrorCode::io, input_name(path) + ": is a directory, not a file");
    }
    return ByteSource([owner](char* to, index_t bytes) { return read_some(*owner, to, bytes); });
}

index_t read_fully(ByteSource const& source, char* to, index_t bytes) {
    index_t done = 0;
    while (done < bytes) {
        index_t const got = source(to + done, bytes - done);
        if (got < 0) { return -1; }
        if (got == 0) { break; }
        done += got;
    }
    return done;
}

} // namespace strandwave
