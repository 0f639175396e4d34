#include "pipelines/output_file.h"

#include "lib/core/error.h"

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <unistd.h>

namespace strandwave {

OutputFile::OutputFile(std::filesystem::path path, bool overwrite)
    : path_(std::move(path)), temporary_(path_.string() + ".partial-" + std::to_string(::getpid())) {
    if (!overwrite && std::filesystem::exists(path_)) {
        throw Error(ErrorCode::already_exists, path_.string() + ": is there already; give --force to replace it");
    }
    stream_.open(temporary_, std::ios::binary | std::ios::trunc);
    if (!stream_) { throw Error(ErrorCode::io, path_.string() + ": cannot be written: " + std::strerror(errno)); }
}

OutputFile::~OutputFile() {
    if (temporary_.empty()) { return; }
    stream_.close();
    std::error_code ignored;
    std::filesystem::remove(temporary_, ignored);
}

void OutputFile::commit() {
    stream_.close();
    std::error_code error;
    if (!stream_.fail()) { std::filesystem::rename(temporary_, path_, error); }
    if (stream_.fail() || error) {
        throw Error(ErrorCode::io, path_.string() + ": could not be written whole; is the disk full?");
    }
    temporary_.clear();
}

} // namespace strandwave
