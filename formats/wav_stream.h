#pragma once

#include "formats/audio_reader.h"
#include "formats/byte_source.h"
#include "lib/core/result.h"

#include <memory>
#include <string>

namespace strandwave {

/// Reads a WAV in order, without a seek: for pipes, and for files whose header does not know its length. PCM of 8 to 32
/// bits, float, double, mu-law and A-law.
/// Errors: malformed_input (no WAV; the message names `--raw` for pipes), truncated_input, unsupported (encodings that
/// need libsndfile and a seekable file), io.
Result<std::unique_ptr<AudioReader>> open_wav_stream(std::string const& name, ByteSource source);

} // namespace strandwave
