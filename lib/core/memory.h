#pragma once

#include "lib/core/view.h"

namespace strandwave {

/// Bytes that this process may still take without swapping: the kernel's MemAvailable, or what is left below the
/// control group's limit if that is less. Large where neither can be read (not Linux).
index_t available_memory_bytes();

} // namespace strandwave
