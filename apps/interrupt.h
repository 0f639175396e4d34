#pragma once

namespace strandwave {

/// Thrown to unwind a run after SIGINT or SIGTERM, so that every writer removes what it has half-written.
struct Interrupted {
    int signal = 0;
};

/// From now on the first SIGINT or SIGTERM is only noted; a second one of the same kind ends the program at once.
/// What is noted ends the program after a second if nobody has asked for it yet (a command whose work is one piece), or
/// while an input is open that is no file: the thread that would see it may wait for a pipe that brings nothing. Files
/// that are half-written then go (PartialFile), or are fit for --resume.
void note_interrupts();
bool interrupted() noexcept;        ///< whoever asks, asks again at every step of its work, and ends cleanly
int interrupting_signal() noexcept; ///< 0: none
void throw_if_interrupted();

} // namespace strandwave
