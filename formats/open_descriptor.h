#pragma once

#include <filesystem>

namespace strandwave {

/// Opens a file, device, pipe or "-" (stdin) to read, and waits for the writer of a pipe, also past a signal. Returns
/// the descriptor, which belongs to the caller, or -1, and errno says why.
int open_descriptor(std::filesystem::path const& path);

/// Whether an input is open, or is being opened, that is no file (a pipe, a terminal): a thread that reads it may wait
/// for somebody else without end, and cannot be told to stop. From any thread.
bool a_pipe_is_open();

} // namespace strandwave
