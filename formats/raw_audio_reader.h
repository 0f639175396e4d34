#pragma once

#include "formats/audio_reader.h"
#include "lib/core/result.h"

#include <filesystem>
#include <memory>

namespace strandwave {

/// Opens head-less samples of the given shape; "-" is stdin, and any file that can be read in order will do (a pipe, a
/// FIFO). Nothing marks the end of such a stream; only one that stops inside a sample frame is truncated_input.
/// Errors: not_found, io, invalid_argument (a rate or channel count out of range).
Result<std::unique_ptr<AudioReader>> open_raw_audio(std::filesystem::path const& path, RawAudioFormat format);

} // namespace strandwave
