#include "apps/interrupt.h"

#include "formats/open_descriptor.h"
#include "lib/core/partial_file.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <semaphore.h>
#include <string_view>
#include <thread>
#include <unistd.h>

namespace strandwave {
namespace {

// Set by the handler and read by the threads of a pool.
std::atomic<int> noted{0};
std::atomic<bool> asked{false}; ///< somebody looks at `noted` from time to time
static_assert(std::atomic<int>::is_always_lock_free);
sem_t is_noted; ///< of what a handler may call, this alone wakes a thread

[[noreturn]] void end_the_program() {
    constexpr std::string_view kWords = "strandwave: interrupted\n";
    remove_open_partial_files();
    [[maybe_unused]] auto const written = ::write(STDERR_FILENO, kWords.data(), kWords.size());
    ::_exit(128 + noted);
}

sigset_t interrupts() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    return signals;
}

/// On a thread of its own, the only one that signals come to.
void watch() {
    auto const signals = interrupts();
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    while (::sem_wait(&is_noted) != 0) {} // EINTR
    for (auto wait = std::chrono::milliseconds(1000);; wait = std::chrono::milliseconds(100)) {
        std::this_thread::sleep_for(wait);
        if (!asked || a_pipe_is_open()) { end_the_program(); }
    }
}

} // namespace

void note_interrupts() {
    ::sem_init(&is_noted, 0, 0);
    struct sigaction action {};
    action.sa_handler = [](int signal) {
        noted = signal;
        ::sem_post(&is_noted);
    };
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    // For this thread and those that it will make: a signal ends no call that they wait in.
    auto const signals = interrupts();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::thread(watch).detach();
}

bool interrupted() noexcept {
    asked = true;
    return noted != 0;
}

int interrupting_signal() noexcept { return noted; }

void throw_if_interrupted() {
    if (interrupted()) { throw Interrupted{noted}; }
}

} // namespace strandwave
