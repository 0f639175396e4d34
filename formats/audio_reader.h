#pragma once

#include "formats/sequence_reader.h"
#include "lib/core/result.h"
#include "lib/core/view.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

/// A run of consecutive sample frames of one recording. Owns its data.
struct AudioChunk {
    index_t offset = 0;         ///< 0-based position of the first frame, in frames of the source rate
    bool first = false;         ///< the recording starts with this chunk
    bool last = false;          ///< the recording ends with it; an empty recording is one chunk, first and last
    index_t channels = 0;       ///< of the source
    std::vector<float> samples; ///< interleaved, [-1, 1) for integer sources; size is frames x channels
};

/// Streams one recording in bounded memory. After an error or `end_of_stream` the reader is spent. Not thread-safe.
class AudioReader {
public:
    virtual ~AudioReader() = default;

    virtual double sample_rate_hz() const = 0;
    virtual index_t channels() const = 0;

    /// Sample frames that the header promises; -1 where only the end of the stream will tell (pipes, raw PCM).
    virtual index_t frames() const = 0;

    /// Fills `chunk` with at most `max_frames` (>= 1) frames.
    /// Errors: truncated_input, malformed_input, io; the message names file, frame offset and reason.
    virtual Result<ReadOutcome> next(AudioChunk& chunk, index_t max_frames) = 0;
};

/// Head-less samples, from stdin or a file, as `--raw s16le:16000:1` describes them.
struct RawAudioFormat {
    enum class Sample : std::uint8_t { s16le, s16be, s24le, s32le, f32le, f64le, u8, s8, mulaw, alaw };
    Sample sample = Sample::s16le;
    double sample_rate_hz = 0;
    index_t channels = 1;

    /// Parses `encoding:rate:channels`; invalid_argument names the part that is wrong.
    static Result<RawAudioFormat> parse(std::string const& text);
};

} // namespace strandwave
