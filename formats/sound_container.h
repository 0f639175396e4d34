#pragma once

#include "lib/core/result.h"

#include <cstdint>
#include <filesystem>

namespace strandwave {

/// What a container says about the length of its samples.
enum class ContainerLength : std::uint8_t {
    fits,    ///< the file holds what the header promises, or its decoder will tell (FLAC, MP3)
    unknown, ///< a WAV whose recorder never came back to write the length into the header: read to the end
};

/// Holds the sizes in the header of a WAV, RF64, W64, AIFF, AU or CAF file, or the last page of an Ogg file, against
/// what is there. libsndfile lowers the promise silently instead: half a WAV opens without an error as a shorter one.
/// Errors: io, truncated_input (naming both sizes).
Result<ContainerLength> check_container_length(std::filesystem::path const& path);

/// True for the values of a WAV's data size that mean "not known": 0 in a header that was never completed (`riff_size`
/// is 0 or all ones too), 2^32-1 (ffmpeg to a pipe), 2^31 (arecord), and 0x7ffff000 less a part of a frame (sox).
bool wav_length_unknown(std::uint32_t riff_size, std::uint32_t data_size) noexcept;

} // namespace strandwave
