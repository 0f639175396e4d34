#pragma once

#include <filesystem>
#include <memory>

struct hFILE;

namespace strandwave {

struct CloseFileBytes {
    void operator()(hFILE* file) const noexcept;
    int descriptor = -1; ///< that the hFILE reads, and closes
};

/// The bytes of an opened file as htslib reads them: they can be peeked at without being used up, pipes too.
using FileBytes = std::unique_ptr<hFILE, CloseFileBytes>;

/// Opens a file, device, pipe or "-" (stdin) to read. Never a URL: a name such as `http://...` is a file name.
/// Also silences htslib's own messages, whose content our errors carry. Throws not_found, io.
FileBytes open_file_bytes(std::filesystem::path const& path);

} // namespace strandwave
