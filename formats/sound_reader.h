#pragma once

#include "formats/audio_reader.h"
#include "lib/core/result.h"

#include <filesystem>
#include <memory>

namespace strandwave {

/// Opens a recording in a container that libsndfile knows: WAV, W64, RF64, FLAC, Ogg (Vorbis, Opus, FLAC), MP3, AIFF,
/// AU, CAF. A file that ends before its header says it does is truncated_input, at open or when its end is reached;
/// libsndfile alone would give a shorter recording. Files only, seekable: for "-" and pipes the error (unsupported)
/// names `--raw`.
/// Errors: not_found, io, malformed_input, truncated_input, unsupported.
Result<std::unique_ptr<AudioReader>> open_sound_file(std::filesystem::path const& path);

} // namespace strandwave
