#pragma once

#include "formats/audio_reader.h"
#include "formats/sequence_reader.h"
#include "lib/core/result.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

namespace strandwave {

struct InputOptions {
    SequenceReaderOptions sequence;
    std::optional<RawAudioFormat> raw_audio; ///< the input is head-less PCM of this shape
};

/// An opened input: exactly one of the two readers is set.
struct Input {
    std::string_view format; ///< "fasta", "fastq", "sam", "bam", "cram", "csv", "tsv", "wav", "flac", "ogg",
                             ///< "mp3", "aiff", "raw"
    std::unique_ptr<SequenceReader> sequence;
    std::unique_ptr<AudioReader> audio;
};

/// Opens a DNA or audio file for streaming. The kind is found by content, then by extension; "-" is stdin.
/// Errors: not_found, io (a directory, no permission), malformed_input (no known kind), truncated_input (a BAM or BGZF
/// file without its end marker), unsupported (a container that cannot be read from a pipe, with advice; trim_quality
/// for a format without qualities).
Result<Input> open_input(std::filesystem::path const& path, InputOptions const& options);

} // namespace strandwave
