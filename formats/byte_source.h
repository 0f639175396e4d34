#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"

#include <filesystem>
#include <functional>
#include <string>

namespace strandwave {

/// Bytes that come in order and only once: a pipe, or a file read like one. Stores at most `bytes` (>= 1) bytes in `to`
/// and returns how many; 0 is the end, -1 an error of the operating system (errno says which). May be short at any
/// time.
using ByteSource = std::function<index_t(char* to, index_t bytes)>;

/// "-" is stdin. Errors: not_found, io (a directory, no permission).
Result<ByteSource> open_byte_source(std::filesystem::path const& path);

/// What messages call the input: its path, or "stdin" for "-".
std::string input_name(std::filesystem::path const& path);

/// Whether what is read is gone then: stdin, a pipe, a socket or a device.
bool is_read_only_once(std::filesystem::path const& path);

/// Reads until `bytes` are there or the source ends; returns how many, or -1.
index_t read_fully(ByteSource const& source, char* to, index_t bytes);

} // namespace strandwave
