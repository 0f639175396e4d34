#include "apps/output_path.h"

#include "lib/core/error.h"

#include <string>
#include <system_error>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

/// False too if one of them is not there.
bool same_file(fs::path const& one, fs::path const& other) {
    std::error_code error;
    return fs::equivalent(one, other, error) && !error;
}

[[noreturn]] void refuse(fs::path const& path, std::string const& why) {
    throw Error(ErrorCode::invalid_argument, path.string() + ": " + why);
}

void refuse_to_overwrite(fs::path const& path, bool force) {
    if (!force) {
        throw Error(ErrorCode::already_exists, path.string() + ": is there already; give --force to replace it");
    }
}

} // namespace

void check_output_file(fs::path const& path, bool force, std::span<fs::path const> inputs) {
    std::error_code error;
    auto const status = fs::status(path, error);
    if (!fs::exists(status)) { return; }
    if (fs::is_directory(status)) { refuse(path, "is a folder; name a file"); }
    if (!fs::is_regular_file(status)) {
        refuse(path, "is a device or a pipe, which an output would take the place of");
    }
    for (auto const& input : inputs) {
        if (same_file(input, path)) {
            refuse(path, "is an input too, which would be lost; give the output another name");
        }
    }
    refuse_to_overwrite(path, force);
}

void check_output_folder(fs::path const& path, bool force) {
    std::error_code error;
    auto const status = fs::status(path, error);
    if (!fs::exists(status)) { return; }
    if (!fs::is_directory(status)) { refuse(path, "is a file; name a folder"); }
    refuse_to_overwrite(path, force);
}

void check_not_the_model(fs::path const& output, fs::path const& model) {
    if (same_file(output, model)) { refuse(output, "is the folder of --model, which would be lost; give another one"); }
}

} // namespace strandwave
