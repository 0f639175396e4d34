#include "apps/interrupt.h"

#include <atomic>
#include <csignal>

namespace strandwave {
namespace {

// Set by the handler, on whichever thread it runs, and read by the threads of a pool.
std::atomic<int> noted{0};
static_assert(std::atomic<int>::is_always_lock_free);

} // namespace

void note_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int signal) { noted = signal; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() noexcept { return noted != 0; }

int interrupting_signal() noexcept { return noted; }

void throw_if_interrupted() {
    if (noted != 0) { throw Interrupted{noted}; }
}

} // namespace strandwave
