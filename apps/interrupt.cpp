#include "apps/interrupt.h"

#include <atomic>
#include <csignal>

namespace strandwave {
namespace {

// Set by the handler, on whichever thread it runs, and read by the threads of a pool.
std::atomic<bool> noted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

} // namespace

void note_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { noted = true; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
}

bool interrupted() noexcept { return noted; }

void throw_if_interrupted() {
    if (noted) { throw Interrupted{}; }
}

} // namespace strandwave
