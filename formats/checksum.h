#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace strandwave {

/// MD5 (RFC 1321) as 32 hexadecimal digits, what md5sum prints. It tells damage, not forgery.
std::string md5_of_text(std::string_view text);
std::string md5_of_file(std::filesystem::path const& path); ///< throws not_found, io
/// Of bytes begin to end. Empty where the file does not have them, or cannot be read.
std::string md5_of_stretch(std::filesystem::path const& path, index_t begin, index_t end);

} // namespace strandwave
