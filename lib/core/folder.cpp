#include "lib/core/folder.h"

#include "lib/core/error.h"

#include <system_error>

namespace strandwave {

void make_folder(std::filesystem::path const& folder) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) { throw Error(ErrorCode::io, folder.string() + ": cannot be made: " + error.message()); }
}

} // namespace strandwave
