#pragma once

#include <filesystem>
#include <fstream>
#include <ostream>

namespace strandwave {

/// A text file that appears whole or not at all: written beside its place, and moved there by commit().
class OutputFile {
public:
    /// Throws already_exists (unless `overwrite`), io.
    OutputFile(std::filesystem::path path, bool overwrite);
    ~OutputFile(); ///< without commit, nothing is left
    OutputFile(OutputFile const&) = delete;
    OutputFile& operator=(OutputFile const&) = delete;

    std::ostream& stream() noexcept { return stream_; }
    void commit(); ///< throws io, as on a full disk

private:
    std::filesystem::path path_, temporary_;
    std::ofstream stream_;
};

} // namespace strandwave
