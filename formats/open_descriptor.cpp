#include "formats/open_descriptor.h"

#include <cerrno>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace strandwave {
namespace {

bool may_wait(struct stat const& status) { return !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode); }

/// What is open and no file. Whoever has a descriptor closes it by himself, so one counts while it is what it was.
class OpenPipes {
public:
    int open(std::filesystem::path const& path) {
        struct stat status {};
        bool const waits = stat(path.c_str(), &status) == 0 && may_wait(status); // a FIFO waits for its writer
        count_opening(waits ? 1 : 0);
        int descriptor = -1;
        do {
            descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        } while (descriptor < 0 && errno == EINTR);
        int const reason = errno;
        add(descriptor);
        count_opening(waits ? -1 : 0);
        errno = reason;
        return descriptor;
    }
    void add(int descriptor) {
        struct stat status {};
        if (descriptor < 0 || fstat(descriptor, &status) != 0 || !may_wait(status)) { return; }
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

int open_descriptor(std::filesystem::path const& path) {
    if (path != "-") { return open_pipes().open(path); }
    int const descriptor = dup(STDIN_FILENO);
    open_pipes().add(descriptor);
    return descriptor;
}

} // namespace strandwave
