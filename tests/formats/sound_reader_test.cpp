#include "formats/sound_reader.h"

#include "tests/support/temp_dir.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sndfile.h>
#include <string>
#include <vector>

// libsndfile forgets one structure of libvorbis when it refuses a damaged Ogg file.
extern "C" char const* __lsan_default_suppressions() { return "leak:vorbis_info_init\n"; }

namespace strandwave {
namespace {

namespace fs = std::filesystem;

fs::path const kFixtures = fs::path(STRANDWAVE_SOURCE_DIR) / "data" / "formats";
fs::path const kHostile = fs::path(STRANDWAVE_SOURCE_DIR) / ".." / "shared" / "data" / "hostile" / "wav";

struct Recording {
    std::vector<float> samples;
    index_t frames = 0;
    index_t channels = 0;
};

/// Reads to the end in chunks of `max_frames`, checking what every chunk promises.
Result<Recording> drain(AudioReader& reader, index_t max_frames) {
    Recording recording;
    recording.channels = reader.channels();
    bool last = false;
    for (AudioChunk chunk;;) {
        auto outcome = reader.next(chunk, max_frames);
        if (!outcome) { return outcome.error(); }
        if (*outcome == ReadOutcome::end_of_stream) {
            EXPECT_TRUE(last) << "the end came without a chunk marked last";
            return recording;
        }
        auto const frames = static_cast<index_t>(chunk.samples.size()) / chunk.channels;
        EXPECT_FALSE(last) << "a chunk behind the last one";
        EXPECT_LE(frames, max_frames);
        EXPECT_EQ(chunk.offset, recording.frames);
        EXPECT_EQ(chunk.first, recording.frames == 0);
        EXPECT_TRUE(frames > 0 || (chunk.first && chunk.last)) << "an empty chunk inside a recording";
        recording.samples.insert(recording.samples.end(), chunk.samples.begin(), chunk.samples.end());
        recording.frames += frames;
        last = chunk.last;
    }
}

Result<Recording> read_with(int threads, fs::path const& path, index_t max_frames) {
    auto reader = open_sound_file(path, threads);
    if (!reader) { return reader.error(); }
    return drain(**reader, max_frames);
}

/// Decoded ahead or not: all the same, errors too.
Result<Recording> read(fs::path const& path, index_t max_frames = 1 << 20) {
    auto recording = read_with(0, path, max_frames);
    auto ahead = read_with(1, path, max_frames);
    EXPECT_EQ(ahead.has_value(), recording.has_value()) << path;
    if (recording && ahead) { EXPECT_EQ(ahead->samples, recording->samples) << path; }
    if (!recording && !ahead) { EXPECT_EQ(ahead.error().message(), recording.error().message()); }
    return recording;
}

std::string file_bytes(fs::path const& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void write_bytes(fs::path const& path, std::string const& bytes) {
    fs::remove(path); // a new file is much faster than an old one written over
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

ByteSource source_of(std::string bytes, index_t most_at_once) {
    return [bytes, most_at_once, at = std::size_t{0}](char* to, index_t wanted) mutable {
        auto const count =
            std::min({static_cast<std::size_t>(wanted), static_cast<std::size_t>(most_at_once), bytes.size() - at});
        bytes.copy(to, count, at);
        at += count;
        return static_cast<index_t>(count);
    };
}

TEST(SoundReader, LosslessContainersGiveTheSamplesThatWereWritten) {
    auto const raw = file_bytes(kFixtures / "raw" / "valid.s16le");
    for (auto const* path :
         {"wav/valid.wav", "flac/valid.flac", "aiff/valid.aiff", "wav/streamed.wav", "wav/unfinished.wav"}) {
        SCOPED_TRACE(path);
        auto recording = read(kFixtures / path);
        ASSERT_TRUE(recording) << recording.error().what();
        EXPECT_EQ(recording->channels, 2);
        ASSERT_EQ(recording->samples.size() * 2, raw.size());
        for (std::size_t i = 0; i < recording->samples.size(); ++i) {
            auto const value = static_cast<std::int16_t>(static_cast<unsigned char>(raw[2 * i]) |
                                                         static_cast<unsigned char>(raw[2 * i + 1]) << 8);
            ASSERT_EQ(recording->samples[i], static_cast<float>(value) / 32768.0F) << "sample " << i;
        }
    }
}

TEST(SoundReader, AnyCutIntoChunksGivesTheSameSamples) {
    for (auto const* path : {"wav/valid.wav", "flac/valid.flac", "ogg/valid.ogg", "mp3/valid.mp3", "aiff/valid.aiff"}) {
        SCOPED_TRACE(path);
        auto whole = read(kFixtures / path);
        ASSERT_TRUE(whole) << whole.error().what();
        EXPECT_EQ(whole->frames, 1000);
        for (index_t const max_frames : {1, 2, 7, 999, 1000, 1001, 4096}) {
            auto cut = read(kFixtures / path, max_frames);
            ASSERT_TRUE(cut) << cut.error().what();
            EXPECT_EQ(cut->samples, whole->samples) << max_frames;
        }
    }
}

TEST(SoundReader, RecordingsOfManyBlocksAreWhole) {
    TempDir const dir;
    constexpr index_t kFrames = 300'001;
    std::vector<short> samples(2 * kFrames);
    for (std::size_t i = 0; i < samples.size(); ++i) {
        samples[i] = static_cast<short>(i * 40503);
    }
    for (auto const& [name, format] : {std::pair{"a.wav", SF_FORMAT_WAV}, {"a.flac", SF_FORMAT_FLAC}}) {
        SCOPED_TRACE(name);
        auto const path = dir.path() / name;
        SF_INFO info{0, 16000, 2, format | SF_FORMAT_PCM_16, 0, 0};
        SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
        ASSERT_EQ(sf_writef_short(file, samples.data(), kFrames), kFrames);
        sf_close(file);
        auto recording = read(path, 10'007);
        ASSERT_TRUE(recording) << recording.error().what();
        ASSERT_EQ(recording->samples.size(), samples.size());
        for (std::size_t i = 0; i < samples.size(); ++i) {
            ASSERT_EQ(recording->samples[i], static_cast<float>(samples[i]) / 32768.0F) << i;
        }
        fs::resize_file(path, fs::file_size(path) / 2);
        EXPECT_FALSE(read(path, 10'007));
    }
}

// The thread that decodes is ended, wherever it is.
TEST(SoundReader, AReaderThatIsNotReadToItsEndGoesAway) {
    for (auto const* path : {"wav/valid.wav", "flac/valid.flac"}) {
        auto reader = open_sound_file(kFixtures / path, 1);
        ASSERT_TRUE(reader);
        AudioChunk chunk;
        EXPECT_TRUE((*reader)->next(chunk, 10).has_value());
    }
}

TEST(SoundReader, HeadersTellRateChannelsAndLength) {
    auto reader = open_sound_file(kFixtures / "flac" / "valid.flac");
    ASSERT_TRUE(reader) << reader.error().what();
    EXPECT_EQ((*reader)->sample_rate_hz(), 8000);
    EXPECT_EQ((*reader)->channels(), 2);
    EXPECT_EQ((*reader)->frames(), 1000);
    auto streamed = open_sound_file(kFixtures / "wav" / "streamed.wav");
    ASSERT_TRUE(streamed) << streamed.error().what();
    EXPECT_EQ((*streamed)->frames(), -1);
}

TEST(SoundReader, AnEmptyRecordingIsOneChunk) {
    auto empty = read(kFixtures / "wav" / "empty.wav");
    ASSERT_TRUE(empty) << empty.error().what();
    EXPECT_EQ(empty->frames, 0);
}

TEST(SoundReader, DamagedFixturesAreErrors) {
    for (auto const* path : {"wav/malformed.wav", "flac/malformed.flac", "ogg/malformed.ogg", "mp3/malformed.mp3",
                             "aiff/malformed.aiff", "wav/truncated.wav", "flac/truncated.flac", "ogg/truncated.ogg",
                             "mp3/truncated.mp3", "aiff/truncated.aiff"}) {
        auto recording = read(kFixtures / path);
        ASSERT_FALSE(recording) << path << " was read as " << recording->frames << " frames";
        EXPECT_NE(recording.error().message().find(path), std::string::npos) << recording.error().what();
    }
}

// Every length but the whole one is truncated_input, for every container that says how long it is.
TEST(SoundReader, ACutAnywhereIsTruncatedInput) {
    TempDir const dir;
    for (auto const* path : {"wav/valid.wav", "flac/valid.flac", "ogg/valid.ogg", "mp3/valid.mp3", "aiff/valid.aiff"}) {
        auto const bytes = file_bytes(kFixtures / path);
        auto const cut = dir.path() / fs::path(path).filename();
        // Shorter than that, a file has not even begun to say what it is: some error, but not always this one.
        constexpr std::size_t kHeader = 256;
        for (std::size_t size = 1; size < bytes.size(); size += size < kHeader ? 1 : 13) {
            write_bytes(cut, bytes.substr(0, size));
            auto recording = read(cut);
            ASSERT_FALSE(recording) << path << " cut to " << size << " bytes was read as " << recording->frames;
            if (size >= kHeader && fs::path(path).extension() != ".mp3") { // an MP3 of one frame is not seen to be one
                EXPECT_EQ(recording.error().code(), ErrorCode::truncated_input) << path << " " << size;
            }
        }
        write_bytes(cut, bytes.substr(0, bytes.size() - 1));
        EXPECT_FALSE(read(cut)) << path << " without its last byte";
    }
}

// Containers that are only written here: each is made by libsndfile and then cut.
TEST(SoundReader, LongAndRareContainersTellTheirLengthToo) {
    TempDir const dir;
    std::vector<short> const samples(2000, 1234);
    for (auto const& [name, format] : {std::pair{"a.w64", SF_FORMAT_W64},
                                       {"a.rf64", SF_FORMAT_RF64},
                                       {"a.au", SF_FORMAT_AU},
                                       {"a.caf", SF_FORMAT_CAF},
                                       {"a.wav", SF_FORMAT_WAVEX}}) {
        SCOPED_TRACE(name);
        auto const path = dir.path() / name;
        SF_INFO info{};
        info.samplerate = 16000;
        info.channels = 2;
        info.format = format | SF_FORMAT_PCM_16;
        SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
        ASSERT_NE(file, nullptr) << sf_strerror(nullptr);
        ASSERT_EQ(sf_writef_short(file, samples.data(), 1000), 1000);
        sf_close(file);
        auto whole = read(path);
        ASSERT_TRUE(whole) << whole.error().what();
        EXPECT_EQ(whole->frames, 1000);
        fs::resize_file(path, fs::file_size(path) - 4);
        auto cut = read(path);
        ASSERT_FALSE(cut);
        EXPECT_EQ(cut.error().code(), ErrorCode::truncated_input) << cut.error().what();
    }
}

// Without a Xing frame libsndfile would stop at a length guessed from the file size.
TEST(SoundReader, AnMp3WithoutFrameCountIsReadToItsEnd) {
    TempDir const dir;
    auto const bytes = file_bytes(kFixtures / "mp3" / "valid.mp3");
    auto const first_audio = bytes.find(bytes.substr(0, 2), 4);
    ASSERT_NE(first_audio, std::string::npos);
    write_bytes(dir.path() / "bare.mp3", bytes.substr(first_audio));
    auto recording = read(dir.path() / "bare.mp3");
    ASSERT_TRUE(recording) << recording.error().what();
    EXPECT_GE(recording->frames, 1000); // the encoder's own delay and padding are now part of it
}

// libFLAC replaces a frame with a wrong check sum by silence; no frame is missing then.
TEST(SoundReader, AFlacWhoseSamplesDifferFromItsMd5IsAnError) {
    TempDir const dir;
    auto bytes = file_bytes(kFixtures / "flac" / "valid.flac");
    bytes[26] = static_cast<char>(bytes[26] ^ 1); // the MD5 itself
    write_bytes(dir.path() / "a.flac", bytes);
    auto recording = read(dir.path() / "a.flac");
    ASSERT_FALSE(recording);
    EXPECT_EQ(recording.error().code(), ErrorCode::malformed_input);
    EXPECT_NE(recording.error().message().find("MD5"), std::string::npos) << recording.error().what();
}

TEST(SoundReader, ASampleThatIsNoNumberIsNamed) {
    auto recording = read(kFixtures / "wav" / "nan.wav");
    ASSERT_FALSE(recording);
    EXPECT_EQ(recording.error().code(), ErrorCode::malformed_input);
    EXPECT_NE(recording.error().message().find("frame 2, channel 0"), std::string::npos) << recording.error().what();
}

TEST(SoundReader, WhatIsNoFileIsSaid) {
    TempDir const dir;
    EXPECT_EQ(open_sound_file(dir.path()).error().code(), ErrorCode::io);
    EXPECT_EQ(open_sound_file(dir.path() / "none.wav").error().code(), ErrorCode::not_found);
    write_bytes(dir.path() / "empty.wav", "");
    EXPECT_EQ(open_sound_file(dir.path() / "empty.wav").error().code(), ErrorCode::malformed_input);
}

TEST(SoundStream, AWavFromAPipeIsTheSameRecording) {
    auto whole = read(kFixtures / "wav" / "valid.wav");
    ASSERT_TRUE(whole) << whole.error().what();
    for (auto const* path : {"wav/valid.wav", "wav/streamed.wav"}) {
        for (index_t const at_once : {1, 3, 1 << 20}) {
            auto reader = open_sound_stream("pipe", source_of(file_bytes(kFixtures / path), at_once));
            ASSERT_TRUE(reader) << reader.error().what();
            auto recording = drain(**reader, 100);
            ASSERT_TRUE(recording) << recording.error().what();
            EXPECT_EQ(recording->samples, whole->samples) << path;
        }
    }
}

TEST(SoundStream, ACutWavFromAPipeIsTruncatedInput) {
    auto const bytes = file_bytes(kFixtures / "wav" / "valid.wav");
    for (std::size_t size = 0; size < bytes.size(); size += 11) {
        auto reader = open_sound_stream("pipe", source_of(bytes.substr(0, size), 1000));
        auto const code = reader ? drain(**reader, 64).error().code() : reader.error().code();
        EXPECT_EQ(code, ErrorCode::truncated_input) << size;
    }
}

TEST(SoundStream, OtherContainersFromAPipeAreRefusedWithAdvice) {
    auto reader = open_sound_stream("pipe", source_of(file_bytes(kFixtures / "flac" / "valid.flac"), 1000));
    ASSERT_FALSE(reader);
    EXPECT_EQ(reader.error().code(), ErrorCode::unsupported);
    EXPECT_NE(reader.error().message().find("--raw s16le:16000:1"), std::string::npos) << reader.error().what();
}

TEST(SoundReaderHostile, EveryDamagedFlacIsAnError) {
    if (!fs::exists(kHostile)) { GTEST_SKIP() << "no shared/data/hostile beside the checkout"; }
    int files = 0;
    for (auto const& entry : fs::directory_iterator(kHostile / "flac_real_broken")) {
        for (index_t const max_frames : {1000, 4096, 1 << 20}) {
            auto recording = read(entry.path(), max_frames);
            EXPECT_FALSE(recording) << entry.path() << " was read as " << recording->frames << " frames";
        }
        ++files;
    }
    EXPECT_EQ(files, 14);
}

TEST(SoundReaderHostile, OddWavsLoadAndCutOnesDoNot) {
    if (!fs::exists(kHostile)) { GTEST_SKIP() << "no shared/data/hostile beside the checkout"; }
    int loaded = 0;
    for (auto const& entry : fs::directory_iterator(kHostile / "scipy")) {
        auto const name = entry.path().filename().string();
        auto recording = read(entry.path());
        bool const cut = name.find("early-eof") != std::string::npos || name.find("incomplete") != std::string::npos;
        bool const unknown_width = name.find("36bit") != std::string::npos || name.find("45bit") != std::string::npos ||
                                   name.find("53bit") != std::string::npos || name.find("-64bit.") != std::string::npos;
        if (cut) {
            ASSERT_FALSE(recording) << name;
            EXPECT_EQ(recording.error().code(), ErrorCode::truncated_input) << recording.error().what();
        } else if (unknown_width) { // integers of more than 32 bits: libsndfile has no decoder
            EXPECT_FALSE(recording) << name;
        } else {
            ASSERT_TRUE(recording) << recording.error().what();
            EXPECT_GT(recording->frames, 0) << name;
            ++loaded;
        }
    }
    EXPECT_EQ(loaded, 13);
}

} // namespace
} // namespace strandwave
