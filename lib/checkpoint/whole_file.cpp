#include "lib/checkpoint/whole_file.h"

#include "lib/core/error.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <unistd.h>

namespace strandwave {

void write_file_whole(std::filesystem::path const& path, std::span<std::span<std::byte const> const> pieces) {
    auto temporary = path;
    temporary += ".partial-" + std::to_string(::getpid());
    auto const fail = [&](std::string const& reason) {
        std::error_code ignored;
        std::filesystem::remove(temporary, ignored);
        throw Error(ErrorCode::io, path.string() + ": cannot write: " + reason);
    };
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    for (auto const& piece : pieces) {
        out.write(reinterpret_cast<char const*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    }
    out.close();
    if (!out) { fail(std::strerror(errno)); }
    std::error_code error;
    std::filesystem::rename(temporary, path, error);
    if (error) { fail(error.message()); }
}

} // namespace strandwave
