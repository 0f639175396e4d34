#include "pipelines/input_identity.h"

#include <sys/stat.h>

namespace strandwave {
namespace {

std::string identity_of(std::filesystem::path const& file) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) { return {}; }
    return std::to_string(status.st_size) + "@" + std::to_string(status.st_mtim.tv_sec) + "." +
           std::to_string(status.st_mtim.tv_nsec);
}

} // namespace

std::string input_identity(std::filesystem::path const& file, std::filesystem::path const& mates) {
    auto const first = identity_of(file);
    return mates.empty() || first.empty() ? first : first + " " + identity_of(mates);
}

} // namespace strandwave
