#include "formats/file_bytes.h"

#include "formats/byte_source.h"
#include "lib/core/error.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <htslib/hfile.h>
#include <htslib/hts_log.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace strandwave {
namespace {

Error open_error(std::string const& name, int error) {
    bool const missing = error == ENOENT || error == ENOTDIR;
    return {missing ? ErrorCode::not_found : ErrorCode::io, name + ": cannot be opened: " + std::strerror(error)};
}

bool may_wait(struct stat const& status) { return !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode); }

/// What is open and no file. htslib closes descriptors by itself, so one counts while it is what it was.
class OpenPipes {
public:
    int open(std::filesystem::path const& path) {
        struct stat status {};
        bool const waits = stat(path.c_str(), &status) == 0 && may_wait(status); // a FIFO waits for its writer
        count_opening(waits ? 1 : 0);
        int const descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        int const reason = errno;
        count_opening(waits ? -1 : 0);
        errno = reason;
        return descriptor;
    }
    void add(int descriptor, struct stat const& status) {
        std::lock_guard const lock(mutex_);
        open_[descriptor] = {status.st_dev, status.st_ino};
    }
    bool any() {
        std::lock_guard const lock(mutex_);
        std::erase_if(open_, [](auto const& item) {
            struct stat now {};
            return fstat(item.first, &now) != 0 || std::pair(now.st_dev, now.st_ino) != item.second;
        });
        return opening_ > 0 || !open_.empty();
    }

private:
    void count_opening(int more) {
        std::lock_guard const lock(mutex_);
        opening_ += more;
    }

    std::mutex mutex_; ///< guards what follows
    int opening_ = 0;
    std::map<int, std::pair<dev_t, ino_t>> open_; ///< by descriptor
};

/// Never destroyed: it is asked while the process ends.
OpenPipes& open_pipes() {
    static auto& pipes = *new OpenPipes;
    return pipes;
}

} // namespace

bool a_pipe_is_open() { return open_pipes().any(); }

void CloseFileBytes::operator()(hFILE* file) const noexcept { hclose_abruptly(file); }

FileBytes open_file_bytes(std::filesystem::path const& path) {
    hts_set_log_level(HTS_LOG_OFF);
    auto const name = input_name(path);
    int const descriptor = path == "-" ? dup(STDIN_FILENO) : open_pipes().open(path);
    if (descriptor < 0) { throw open_error(name, errno); }
    struct stat status {};
    bool const known = fstat(descriptor, &status) == 0;
    if (known && may_wait(status)) { open_pipes().add(descriptor, status); }
    if (known && S_ISDIR(status.st_mode)) {
        close(descriptor);
        throw Error(ErrorCode::io, name + ": is a directory; name the files in it, or give it to `strandwave batch`");
    }
    FileBytes file(hdopen(descriptor, "r"));
    if (!file) {
        auto const error = open_error(name, errno);
        close(descriptor);
        throw error;
    }
    return file;
}

} // namespace strandwave
