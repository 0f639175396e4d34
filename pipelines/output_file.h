#pragma once

#include "lib/core/partial_file.h"

#include <fstream>
#include <ostream>

namespace strandwave {

/// A text file that appears whole or not at all.
class OutputFile {
public:
    explicit OutputFile(std::filesystem::path const& path); ///< throws io
    std::ostream& stream() noexcept { return stream_; }
    void commit(); ///< throws io, as on a full disk

private:
    PartialFile file_;
    std::ofstream stream_;
};

} // namespace strandwave
