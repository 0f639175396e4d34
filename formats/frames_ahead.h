#pragma once

#include "formats/audio_stream.h"

namespace strandwave {

/// The same frames, decoded by a thread of its own ahead of their use, in bounded memory. Not for a source that may
/// have to wait (a pipe), see ReadAhead. An error comes behind the frames of the blocks before it.
std::unique_ptr<FrameSource> decode_ahead(std::unique_ptr<FrameSource> source, index_t channels);

} // namespace strandwave
