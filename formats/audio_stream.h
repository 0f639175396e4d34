#pragma once

#include "formats/audio_reader.h"
#include "lib/core/result.h"

#include <memory>
#include <string>

namespace strandwave {

/// Decoded sample frames of one recording, in order.
class FrameSource {
public:
    virtual ~FrameSource() = default;

    /// Stores at most `frames` interleaved frames in `to` and returns how many. Fewer than asked means that the
    /// recording is over, and that it is whole as far as its format can tell.
    virtual Result<index_t> read(float* to, index_t frames) = 0;
};

struct AudioStreamInfo {
    std::string name; ///< for messages
    double sample_rate_hz = 0;
    index_t channels = 0;
    index_t frames = -1; ///< as AudioReader::frames()
};

/// Cuts a FrameSource into chunks: knows which one is the last, bounds their memory whatever the channel count, and
/// refuses samples that are not finite. Errors: malformed_input for a rate or a channel count out of range.
Result<std::unique_ptr<AudioReader>> make_audio_stream(AudioStreamInfo info, std::unique_ptr<FrameSource> source);

} // namespace strandwave
