#include "formats/raw_audio_reader.h"

#include "tests/support/temp_dir.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cmath>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace strandwave {
namespace {

using Sample = RawAudioFormat::Sample;

ByteSource source_of(std::string bytes, index_t most_at_once = 1 << 20) {
    return [bytes, most_at_once, at = std::size_t{0}](char* to, index_t wanted) mutable {
        auto const count =
            std::min({static_cast<std::size_t>(wanted), static_cast<std::size_t>(most_at_once), bytes.size() - at});
        bytes.copy(to, count, at);
        at += count;
        return static_cast<index_t>(count);
    };
}

Result<std::vector<float>> drain(AudioReader& reader, index_t max_frames) {
    std::vector<float> samples;
    for (AudioChunk chunk;;) {
        auto outcome = reader.next(chunk, max_frames);
        if (!outcome) { return outcome.error(); }
        if (*outcome == ReadOutcome::end_of_stream) { return samples; }
        samples.insert(samples.end(), chunk.samples.begin(), chunk.samples.end());
    }
}

Result<std::vector<float>> decode(Sample sample, std::string const& bytes, index_t channels = 1,
                                  index_t max_frames = 1 << 16, index_t most_at_once = 1 << 20) {
    auto reader = open_raw_stream("samples", source_of(bytes, most_at_once), {sample, 16000, channels});
    if (!reader) { return reader.error(); }
    return drain(**reader, max_frames);
}

std::vector<float> decoded(Sample sample, std::string const& bytes, index_t channels = 1, index_t max_frames = 1 << 16,
                           index_t most_at_once = 1 << 20) {
    return decode(sample, bytes, channels, max_frames, most_at_once).value();
}

/// The bytes of a number, lowest first.
template <class T>
std::string little(T value) {
    auto const bytes = std::bit_cast<std::array<char, sizeof(T)>>(value);
    return {bytes.begin(), bytes.end()};
}

std::string reversed(std::string bytes) {
    std::reverse(bytes.begin(), bytes.end());
    return bytes;
}

TEST(RawAudio, IntegersAndFloatsDecodeToTheirFraction) {
    std::vector<std::int32_t> const values{0, 1, -1, 12345, -32768, 32767};
    std::string s16le, s16be, s24le, s32le, f32le, f64le;
    std::vector<float> expected;
    for (auto const value : values) {
        expected.push_back(static_cast<float>(value) / 32768.0F);
        s16le += little(static_cast<std::int16_t>(value));
        s16be += reversed(little(static_cast<std::int16_t>(value)));
        s24le += little(value * 256).substr(0, 3);
        s32le += little(value * 65536);
        f32le += little(static_cast<float>(value) / 32768.0F);
        f64le += little(value / 32768.0);
    }
    EXPECT_EQ(decoded(Sample::s16le, s16le), expected);
    EXPECT_EQ(decoded(Sample::s16be, s16be), expected);
    EXPECT_EQ(decoded(Sample::s24le, s24le), expected);
    EXPECT_EQ(decoded(Sample::s32le, s32le), expected);
    EXPECT_EQ(decoded(Sample::f32le, f32le), expected);
    EXPECT_EQ(decoded(Sample::f64le, f64le), expected);
    EXPECT_EQ(decoded(Sample::u8, std::string("\x00\x80\xff", 3)), (std::vector<float>{-1, 0, 127 / 128.0F}));
    EXPECT_EQ(decoded(Sample::s8, std::string("\x80\x00\x7f", 3)), (std::vector<float>{-1, 0, 127 / 128.0F}));
}

// ITU-T G.711: mu-law is 14 bits of sign and magnitude with a bias of 33; A-law 13 bits with every other bit inverted.
TEST(RawAudio, CompandedBytesDecodeAsG711Says) {
    std::string bytes;
    std::vector<float> mulaw, alaw;
    for (int code = 0; code < 256; ++code) {
        bytes.push_back(static_cast<char>(code));
        int const mu = ~code & 0xff;
        int const mu_magnitude = (((mu & 0xf) * 2 + 33) << (mu >> 4 & 7)) - 33;
        mulaw.push_back(static_cast<float>((mu & 0x80) != 0 ? -mu_magnitude : mu_magnitude) / 8192.0F);
        int const a = code ^ 0x55;
        int const segment = a >> 4 & 7;
        int const a_magnitude = segment == 0 ? (a & 0xf) * 2 + 1 : ((a & 0xf) * 2 + 33) << (segment - 1);
        alaw.push_back(static_cast<float>((a & 0x80) != 0 ? a_magnitude : -a_magnitude) / 4096.0F);
    }
    EXPECT_EQ(decoded(Sample::mulaw, bytes), mulaw);
    EXPECT_EQ(decoded(Sample::alaw, bytes), alaw);
}

TEST(RawAudio, NeitherChunksNorShortReadsChangeTheSamples) {
    std::string bytes;
    for (int i = 0; i < 3 * 1009; ++i) {
        bytes += little(static_cast<std::int16_t>(i * 7919));
    }
    auto const whole = decoded(Sample::s16le, bytes, 3);
    ASSERT_EQ(whole.size(), 3 * 1009U);
    for (index_t const max_frames : {1, 2, 7, 1008, 1009, 1010}) {
        for (index_t const most_at_once : {1, 5, 4096}) {
            EXPECT_EQ(decoded(Sample::s16le, bytes, 3, max_frames, most_at_once), whole);
        }
    }
}

TEST(RawAudio, AStreamThatEndsInsideAFrameIsTruncated) {
    std::string const bytes(6 * 10, '\1');
    ASSERT_TRUE(decode(Sample::s16le, bytes, 3));
    for (std::size_t const missing : {1U, 2U, 3U, 4U, 5U}) {
        auto cut = decode(Sample::s16le, bytes.substr(0, bytes.size() - missing), 3);
        ASSERT_FALSE(cut) << missing;
        EXPECT_EQ(cut.error().code(), ErrorCode::truncated_input);
    }
    EXPECT_TRUE(decode(Sample::s16le, bytes.substr(0, bytes.size() - 6), 3));
}

TEST(RawAudio, AnEmptyStreamIsAnEmptyRecording) {
    auto reader = open_raw_stream("samples", source_of(""), {Sample::s16le, 16000, 2});
    ASSERT_TRUE(reader);
    AudioChunk chunk;
    ASSERT_EQ((*reader)->next(chunk, 10).value(), ReadOutcome::chunk);
    EXPECT_TRUE(chunk.first && chunk.last && chunk.samples.empty());
    EXPECT_EQ((*reader)->next(chunk, 10).value(), ReadOutcome::end_of_stream);
}

TEST(RawAudio, AFailedReadIsNotTheEnd) {
    auto failing = [](char*, index_t) -> index_t {
        errno = EIO;
        return -1;
    };
    auto reader = open_raw_stream("samples", failing, {Sample::s16le, 16000, 1});
    ASSERT_TRUE(reader);
    AudioChunk chunk;
    auto outcome = (*reader)->next(chunk, 10);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code(), ErrorCode::io);
}

TEST(RawAudio, InfinityIsNamed) {
    auto samples = decode(Sample::f32le, little(0.0F) + little(INFINITY));
    ASSERT_FALSE(samples);
    EXPECT_NE(samples.error().message().find("frame 1"), std::string::npos) << samples.error().what();
}

TEST(RawAudio, AFifoIsReadToItsEnd) {
    TempDir const dir;
    auto const fifo = dir.path() / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    std::thread writer([&] {
        std::ofstream stream(fifo, std::ios::binary);
        for (int i = 0; i < 50000; ++i) {
            stream << little(static_cast<std::int16_t>(i));
        }
    });
    auto reader = open_raw_audio(fifo, {Sample::s16le, 8000, 1});
    ASSERT_TRUE(reader) << reader.error().what();
    auto samples = drain(**reader, 333);
    writer.join();
    ASSERT_TRUE(samples) << samples.error().what();
    ASSERT_EQ(samples->size(), 50000U);
    EXPECT_EQ(samples->back(), static_cast<float>(static_cast<std::int16_t>(49999)) / 32768.0F);
}

TEST(RawAudioFormat, ParsesEveryEncoding) {
    for (auto const* word : {"s16le", "s16be", "s24le", "s32le", "f32le", "f64le", "u8", "s8", "mulaw", "alaw"}) {
        auto format = RawAudioFormat::parse(std::string(word) + ":22050:2");
        ASSERT_TRUE(format) << format.error().what();
        EXPECT_EQ(format->sample_rate_hz, 22050);
        EXPECT_EQ(format->channels, 2);
    }
}

TEST(RawAudioFormat, NamesThePartThatIsWrong) {
    for (auto const& [text, part] : {std::pair{"", "three parts"},
                                     {"s16le", "three parts"},
                                     {"s16le:8000", "three parts"},
                                     {"s17le:8000:1", "s17le"},
                                     {"s16le:fast:1", "fast"},
                                     {"s16le:0:1", "rate"},
                                     {"s16le:nan:1", "nan"},
                                     {"s16le:8000x:1", "8000x"},
                                     {"s16le:8000:0", "channel"},
                                     {"s16le:8000:1025", "1025"},
                                     {"s16le:8000:1:1", "1:1"}}) {
        auto format = RawAudioFormat::parse(text);
        ASSERT_FALSE(format) << text;
        EXPECT_EQ(format.error().code(), ErrorCode::invalid_argument);
        EXPECT_NE(format.error().message().find(part), std::string::npos) << format.error().what();
    }
}

} // namespace
} // namespace strandwave
