#include "lib/core/staged_folder.h"

#include "lib/core/error.h"

#include <string>
#include <system_error>
#include <unistd.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

void check(std::error_code const& error, fs::path const& path) {
    if (error) { throw Error(ErrorCode::io, path.string() + ": cannot be written: " + error.message()); }
}

fs::path without_slash(fs::path const& path) { return path.has_filename() ? path : path.parent_path(); }

std::string replaced(std::string text, std::string const& old_word, std::string const& new_word) {
    for (std::size_t at = text.find(old_word); at != std::string::npos;
         at = text.find(old_word, at + new_word.size())) {
        text.replace(at, old_word.size(), new_word);
    }
    return text;
}

} // namespace

StagedFolder::StagedFolder(fs::path const& final_folder)
    : final_folder_(without_slash(final_folder)),
      path_(without_slash(fs::absolute(final_folder_).lexically_normal())) { // "." is the folder that it stands for
    path_ += ".partial-" + std::to_string(::getpid());
    std::error_code error;
    fs::create_directories(path_, error);
    check(error, final_folder_);
}

StagedFolder::~StagedFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

void StagedFolder::fill(std::function<void(fs::path const&)> const& write) const {
    try {
        write(path_);
    } catch (Error const& error) {
        throw Error(error.code(), replaced(error.message(), path_.string(), final_folder_.string()));
    }
}

void StagedFolder::commit() {
    std::error_code error;
    if (!fs::exists(final_folder_)) {
        fs::rename(path_, final_folder_, error);
        check(error, final_folder_);
        return;
    }
    for (auto const& entry : fs::directory_iterator(path_)) {
        auto const place = final_folder_ / entry.path().filename();
        fs::rename(entry.path(), place, error);
        check(error, place);
    }
}

} // namespace strandwave
