#pragma once

#include <filesystem>

namespace strandwave {

/// Makes a folder, and those that it lies in, where they are not there yet. Throws io, naming the path and the reason.
void make_folder(std::filesystem::path const& folder);

} // namespace strandwave
