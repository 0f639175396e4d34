#pragma once

namespace strandwave {

/// Thrown to unwind a run after SIGINT or SIGTERM, so that every writer removes what it has half-written.
struct Interrupted {
    int signal = 0;
};

/// From now on the first SIGINT or SIGTERM is only noted; a second one of the same kind ends the program at once.
void note_interrupts();
bool interrupted() noexcept;
int interrupting_signal() noexcept; ///< 0: none
void throw_if_interrupted();

} // namespace strandwave
