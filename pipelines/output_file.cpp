#include "pipelines/output_file.h"

#include "lib/core/error.h"

namespace strandwave {

OutputFile::OutputFile(std::filesystem::path const& path) : file_(path), stream_(file_.partial_path()) {}

void OutputFile::commit() {
    stream_.close();
    if (!stream_) {
        throw Error(ErrorCode::io, file_.path().string() + ": could not be written whole; is the disk full?");
    }
    file_.sync();
    file_.commit();
}

} // namespace strandwave
