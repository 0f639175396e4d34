#include "formats/wav_stream.h"

#include "formats/raw_audio_reader.h"
#include "formats/sound_container.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace strandwave {
namespace {

constexpr std::string_view kAdvice =
    "; write it to a file first, or pipe plain samples and describe them, as in --raw s16le:16000:1";

std::uint32_t number(char const* bytes, int count) {
    std::uint32_t value = 0;
    for (int i = count - 1; i >= 0; --i) {
        value = value << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return value;
}

/// Sequential reads of a header; every short one is an error.
class Header {
public:
    Header(std::string name, ByteSource source) : name_(std::move(name)), source_(std::move(source)) {}

    Result<void> read(char* to, index_t bytes) {
        index_t const got = read_fully(source_, to, bytes);
        if (got < 0) { return Error(ErrorCode::io, name_ + ": cannot be read: " + std::strerror(errno)); }
        if (got < bytes) { return Error(ErrorCode::truncated_input, name_ + ": the WAV ends inside its header"); }
        return {};
    }

    Result<void> skip(index_t bytes) {
        std::array<char, 4096> discarded;
        while (bytes > 0) {
            auto const part = std::min<index_t>(bytes, discarded.size());
            if (auto done = read(discarded.data(), part); !done) { return done; }
            bytes -= part;
        }
        return {};
    }

    std::string const& name() const { return name_; }
    ByteSource const& source() const { return source_; }

private:
    std::string name_;
    ByteSource source_;
};

std::optional<RawAudioFormat::Sample> sample_type(std::uint32_t tag, index_t bytes) {
    using Sample = RawAudioFormat::Sample;
    constexpr std::uint32_t kPcm = 1;
    constexpr std::uint32_t kFloat = 3;
    constexpr std::uint32_t kALaw = 6;
    constexpr std::uint32_t kMuLaw = 7;
    if (tag == kPcm && bytes == 1) { return Sample::u8; }
    if (tag == kPcm && bytes == 2) { return Sample::s16le; }
    if (tag == kPcm && bytes == 3) { return Sample::s24le; }
    if (tag == kPcm && bytes == 4) { return Sample::s32le; }
    if (tag == kFloat && bytes == 4) { return Sample::f32le; }
    if (tag == kFloat && bytes == 8) { return Sample::f64le; }
    if (tag == kALaw && bytes == 1) { return Sample::alaw; }
    if (tag == kMuLaw && bytes == 1) { return Sample::mulaw; }
    return std::nullopt;
}

/// The `fmt ` chunk: tag, channels, rate, bytes a second, bytes a frame, bits a sample; an extensible one keeps the tag
/// at byte 24.
Result<RawAudioFormat> read_format(Header& header, index_t size) {
    constexpr std::uint32_t kExtensible = 0xfffe;
    std::array<char, 40> fields{};
    auto const known = std::min<index_t>(size, fields.size());
    if (known < 16) { return Error(ErrorCode::malformed_input, header.name() + ": the 'fmt ' chunk is too short"); }
    if (auto done = header.read(fields.data(), known); !done) { return done.error(); }
    if (auto done = header.skip(size - known); !done) { return done.error(); }

    auto tag = number(fields.data(), 2);
    if (tag == kExtensible) { tag = number(fields.data() + 24, 2); }
    RawAudioFormat format;
    format.channels = number(fields.data() + 2, 2);
    format.sample_rate_hz = number(fields.data() + 4, 4);
    index_t const frame_bytes = number(fields.data() + 12, 2);
    index_t const bits = number(fields.data() + 14, 2);
    auto const sample = sample_type(tag, (bits + 7) / 8);
    if (!sample || frame_bytes != (bits + 7) / 8 * format.channels) {
        return Error(ErrorCode::unsupported, header.name() + ": WAV encoding " + std::to_string(tag) + " of " +
                                                 std::to_string(bits) + " bits cannot be read as a stream" +
                                                 std::string(kAdvice));
    }
    format.sample = *sample;
    return format;
}

} // namespace

Result<std::unique_ptr<AudioReader>> open_wav_stream(std::string const& name, ByteSource source) {
    Header header(name, std::move(source));
    std::array<char, 12> riff{};
    if (auto done = header.read(riff.data(), riff.size()); !done) { return done.error(); }
    if (std::memcmp(riff.data(), "RIFF", 4) != 0 || std::memcmp(riff.data() + 8, "WAVE", 4) != 0) {
        return Error(ErrorCode::unsupported,
                     name + ": of sound containers only WAV can be read from a pipe" + std::string(kAdvice));
    }
    auto const riff_size = number(riff.data() + 4, 4);
    std::optional<RawAudioFormat> format;
    for (;;) {
        std::array<char, 8> chunk{};
        if (auto done = header.read(chunk.data(), chunk.size()); !done) { return done.error(); }
        auto const id = std::string_view(chunk.data(), 4);
        auto const size = number(chunk.data() + 4, 4);
        if (id == "data") {
            if (!format) {
                return Error(ErrorCode::malformed_input, name + ": no 'fmt ' chunk comes before the samples");
            }
            index_t const bytes = wav_length_unknown(riff_size, size) ? -1 : index_t{size};
            return open_raw_stream(name, header.source(), *format, bytes);
        }
        if (id == "fmt ") {
            auto parsed = read_format(header, size);
            if (!parsed) { return parsed.error(); }
            format = *parsed;
            if (auto done = header.skip(size % 2); !done) { return done.error(); }
        } else if (auto done = header.skip(index_t{size} + size % 2); !done) {
            return done.error();
        }
    }
}

} // namespace strandwave
