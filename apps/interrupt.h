#pragma once

namespace strandwave {

/// Thrown to unwind a run after SIGINT or SIGTERM, so that every writer removes what it has half-written.
struct Interrupted {
    int signal = 0;
};

/// From now on the first SIGINT or SIGTERM is only noted; a second one of the same kind ends the program at once.
/// While an input is open that is no file, what is noted ends the program after a second: the thread that would see it
/// may wait for a pipe that brings nothing. Files that are half-written then go (PartialFile), or are fit for --resume.
void note_interrupts();
bool interrupted() noexcept;
int interrupting_signal() noexcept; ///< 0: none
void throw_if_interrupted();

} // namespace strandwave
