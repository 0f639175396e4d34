#include "formats/sound_reader.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace strandwave;

/// The samples, or nothing after an error.
std::optional<std::vector<float>> read(Result<std::unique_ptr<AudioReader>> reader, index_t max_frames) {
    constexpr std::size_t kMostSamples = 1 << 22; // a small file can hold hours of silence
    std::vector<float> samples;
    if (!reader) { return std::nullopt; }
    for (AudioChunk chunk;;) {
        auto outcome = (*reader)->next(chunk, max_frames);
        if (!outcome || samples.size() > kMostSamples) { return std::nullopt; }
        if (*outcome == ReadOutcome::end_of_stream) { return samples; }
        samples.insert(samples.end(), chunk.samples.begin(), chunk.samples.end());
    }
}

/// Compared as bytes: -0 and 0 differ, as they should.
bool same(std::optional<std::vector<float>> const& a, std::optional<std::vector<float>> const& b) {
    return a && b && a->size() == b->size() &&
           (a->empty() || std::memcmp(a->data(), b->data(), a->size() * sizeof(float)) == 0);
}

} // namespace

// libsndfile forgets one structure of libvorbis when it refuses a damaged Ogg file.
extern "C" char const* __lsan_default_suppressions() { return "leak:vorbis_info_init\n"; }

// Whatever the bytes: an error or a recording, and what was read whole is the same read in pieces.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    static auto const path =
        std::filesystem::temp_directory_path() / ("strandwave-sound-fuzz-" + std::to_string(::getpid()));
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<char const*>(data), static_cast<std::streamsize>(size));
    auto const whole = read(open_sound_file(path), 1 << 20);
    auto const pieces = read(open_sound_file(path), 97);
    if (whole && pieces && !same(whole, pieces)) { std::abort(); }
    (void)read(open_sound_stream("pipe", open_byte_source(path).value()), 1000);
    return 0;
}
