#pragma once

namespace strandwave {

/// Thrown to unwind a run after SIGINT, so that every writer removes what it has half-written.
struct Interrupted {};

/// From now on the first SIGINT is only noted; a second one ends the program at once.
void note_interrupts();
bool interrupted() noexcept;
void throw_if_interrupted();

} // namespace strandwave
