#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace strandwave {

/// Writes the pieces, one behind the other, as a file that is there whole or not at all: into a temporary file in the
/// same folder, which then takes the place of `path`. Throws io.
void write_file_whole(std::filesystem::path const& path, std::span<std::span<std::byte const> const> pieces);

} // namespace strandwave
