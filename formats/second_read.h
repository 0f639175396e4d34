#pragma once

#include "formats/file_bytes.h"
#include "lib/core/error.h"
#include "lib/core/view.h"

#include <string>
#include <string_view>

namespace strandwave {

/// Opens a file that another reader reads too, from its first byte. Throws what open_file_bytes throws, and
/// unsupported for what can be read only once: stdin, a pipe, a device.
FileBytes open_second_time(std::filesystem::path const& path);

/// What is wrong when the record of a second read is not the one of the first.
Error changed_meanwhile(std::string const& file, index_t ordinal, std::string_view name, std::string_view found_name);

/// The same when the file has ended before it.
Error ended_meanwhile(std::string const& file, index_t ordinal, std::string_view name);

} // namespace strandwave
