#pragma once

#include "formats/audio_reader.h"
#include "formats/byte_source.h"
#include "lib/core/result.h"

#include <filesystem>
#include <memory>
#include <string>

namespace strandwave {

/// Opens head-less samples of the given shape; "-" is stdin, and any file that can be read in order will do (a pipe, a
/// FIFO). Nothing marks the end of such a stream; only one that stops inside a sample frame is truncated_input.
/// Errors: not_found, io, malformed_input (a rate or channel count out of range).
Result<std::unique_ptr<AudioReader>> open_raw_audio(std::filesystem::path const& path, RawAudioFormat format);

/// The same from a source that is open already. `bytes` is how many the source promises, -1 if it does not say; a
/// promise that is not kept is truncated_input, what comes behind is left unread.
Result<std::unique_ptr<AudioReader>> open_raw_stream(std::string const& name, ByteSource source, RawAudioFormat format,
                                                     index_t bytes = -1);

} // namespace strandwave
