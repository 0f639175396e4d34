#include "formats/file_bytes.h"

#include "formats/byte_source.h"
#include "formats/open_descriptor.h"
#include "lib/core/error.h"

#include <cerrno>
#include <cstring>
#include <htslib/hfile.h>
#include <htslib/hts_log.h>
#include <sys/stat.h>
#include <unistd.h>

namespace strandwave {
namespace {

Error open_error(std::string const& name, int error) {
    bool const missing = error == ENOENT || error == ENOTDIR;
    return {missing ? ErrorCode::not_found : ErrorCode::io, name + ": cannot be opened: " + std::strerror(error)};
}

} // namespace

void CloseFileBytes::operator()(hFILE* file) const noexcept { hclose_abruptly(file); }

FileBytes open_file_bytes(std::filesystem::path const& path) {
    hts_set_log_level(HTS_LOG_OFF);
    auto const name = input_name(path);
    int const descriptor = open_descriptor(path);
    if (descriptor < 0) { throw open_error(name, errno); }
    struct stat status {};
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
        close(descriptor);
        throw Error(ErrorCode::io, name + ": is a directory; name the files in it, or give it to `strandwave batch`");
    }
    FileBytes file(hdopen(descriptor, "r"), {descriptor});
    if (!file) {
        auto const error = open_error(name, errno);
        close(descriptor);
        throw error;
    }
    return file;
}

} // namespace strandwave
