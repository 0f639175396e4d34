#pragma once

struct hFILE;

namespace strandwave {

/// Called before htslib closes a file that is not to be completed, or that it could not write: after an error it closes
/// without freeing its memory. So what it still holds goes nowhere, and the error is forgotten. `descriptor` is what
/// `file` was made of.
void discard_output(hFILE* file, int descriptor) noexcept;

} // namespace strandwave
