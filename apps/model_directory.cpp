#include "apps/model_directory.h"

#include "apps/common_options.h"
#include "apps/interrupt.h"
#include "apps/output_path.h"
#include "lib/core/error.h"

#include <system_error>
#include <unistd.h>

namespace strandwave {
namespace {

void check(std::error_code const& error, std::filesystem::path const& path) {
    if (error) { throw Error(ErrorCode::io, path.string() + ": cannot be written: " + error.message()); }
}

} // namespace

NewModelDirectory::NewModelDirectory(std::filesystem::path const& directory, bool force)
    : directory_(std::filesystem::absolute(directory).lexically_normal()) {
    if (!directory_.has_filename()) { directory_ = directory_.parent_path(); } // "models/new/"
    check_output_folder(directory_, force);
    throw_if_interrupted(); // and again in front of the end: a signal leaves nothing behind
    staging_ = directory_;
    staging_ += ".partial-" + std::to_string(::getpid());
    std::error_code error;
    std::filesystem::create_directories(staging_, error);
    check(error, directory_);
}

NewModelDirectory::~NewModelDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(staging_, ignored);
}

void NewModelDirectory::commit() {
    throw_if_interrupted();
    std::error_code error;
    if (!std::filesystem::exists(directory_)) {
        std::filesystem::rename(staging_, directory_, error);
        check(error, directory_);
        return;
    }
    for (auto const& entry : std::filesystem::directory_iterator(staging_)) {
        std::filesystem::rename(entry.path(), directory_ / entry.path().filename(), error);
        check(error, directory_ / entry.path().filename());
    }
}

} // namespace strandwave
