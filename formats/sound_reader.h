#pragma once

#include "formats/audio_reader.h"
#include "formats/byte_source.h"
#include "lib/core/result.h"

#include <filesystem>
#include <memory>
#include <string>

namespace strandwave {

/// Opens a recording in a container that libsndfile knows: WAV, W64, RF64, FLAC, Ogg (Vorbis, Opus, FLAC), MP3, AIFF,
/// AU, CAF. A file that ends before its header says it does is truncated_input, at open or when its end is reached;
/// libsndfile alone would give a shorter recording. What each format can tell stands in docs/FORMATS.md.
/// "-" (stdin) and pipes: WAV only, as open_sound_stream.
/// With `threads` > 0 a FLAC file is decoded by a thread of its own, in bounded memory.
/// Errors: not_found, io, malformed_input, truncated_input, unsupported.
Result<std::unique_ptr<AudioReader>> open_sound_file(std::filesystem::path const& path, int threads = 0);

/// Reads a sound container in order, without a seek: WAV. For all others the error (unsupported) names `--raw`.
/// `name` is for messages; `source` starts with the first byte of the container.
Result<std::unique_ptr<AudioReader>> open_sound_stream(std::string const& name, ByteSource source);

} // namespace strandwave
