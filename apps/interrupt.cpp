#include "apps/interrupt.h"

#include <csignal>

namespace strandwave {
namespace {

volatile std::sig_atomic_t interrupted = 0;

} // namespace

void note_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
}

void throw_if_interrupted() {
    if (interrupted != 0) { throw Interrupted{}; }
}

} // namespace strandwave
