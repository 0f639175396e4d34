#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>

namespace strandwave {

/// The members of a zip archive that lies in memory, as views into it (APPNOTE.TXT 6.3, ZIP64 included). Only stored
/// members can be viewed: a compressed or encrypted one is refused by name. Checksums are not verified, since that
/// would read every weight at opening. Throws truncated_input (no end of the central directory: the file is cut, or
/// has foreign bytes behind it), malformed_checkpoint, unsupported. `bytes` must outlive the result.
std::map<std::string, std::span<std::byte const>> read_zip_directory(std::span<std::byte const> bytes);

} // namespace strandwave
