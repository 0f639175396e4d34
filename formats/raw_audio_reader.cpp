#include "formats/raw_audio_reader.h"

#include "formats/audio_stream.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <sndfile.h>
#include <string_view>
#include <utility>

namespace strandwave {
namespace {

using Sample = RawAudioFormat::Sample;

struct Encoding {
    std::string_view word;
    Sample sample;
    index_t bytes;
    int sndfile_format;
};

constexpr std::array kEncodings{
    Encoding{"s16le", Sample::s16le, 2, SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE},
    Encoding{"s16be", Sample::s16be, 2, SF_FORMAT_PCM_16 | SF_ENDIAN_BIG},
    Encoding{"s24le", Sample::s24le, 3, SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE},
    Encoding{"s32le", Sample::s32le, 4, SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE},
    Encoding{"f32le", Sample::f32le, 4, SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE},
    Encoding{"f64le", Sample::f64le, 8, SF_FORMAT_DOUBLE | SF_ENDIAN_LITTLE},
    Encoding{"u8", Sample::u8, 1, SF_FORMAT_PCM_U8},
    Encoding{"s8", Sample::s8, 1, SF_FORMAT_PCM_S8},
    Encoding{"mulaw", Sample::mulaw, 1, SF_FORMAT_ULAW},
    Encoding{"alaw", Sample::alaw, 1, SF_FORMAT_ALAW},
};

Encoding const& encoding_of(Sample sample) {
    return *std::find_if(kEncodings.begin(), kEncodings.end(), [&](Encoding const& e) { return e.sample == sample; });
}

/// libsndfile decodes; the bytes come from a ByteSource, which need not be seekable. Its callbacks see an endless
/// stream, so every count of what was really there is kept here.
class RawFrames final : public FrameSource {
public:
    RawFrames(std::string name, ByteSource source, RawAudioFormat const& format, index_t bytes)
        : name_(std::move(name)), source_(std::move(source)), promised_(bytes),
          frame_bytes_(encoding_of(format.sample).bytes * format.channels) {
        SF_INFO info{};
        info.format = SF_FORMAT_RAW | encoding_of(format.sample).sndfile_format;
        info.samplerate = 1; // no decoder looks at it
        info.channels = static_cast<int>(format.channels);
        SF_VIRTUAL_IO io{length, seek, read_bytes, write, tell};
        file_ = sf_open_virtual(&io, SFM_READ, &info, this);
    }
    ~RawFrames() override {
        if (file_ != nullptr) { sf_close(file_); }
    }
    RawFrames(RawFrames const&) = delete;
    RawFrames& operator=(RawFrames const&) = delete;

    bool is_open() const { return file_ != nullptr; }

    Result<index_t> read(float* to, index_t frames) override {
        index_t const got = sf_readf_float(file_, to, frames);
        if (got == frames) { return got; }
        if (failure_ != 0) {
            return Error(ErrorCode::io,
                         name_ + ": cannot be read at byte " + std::to_string(taken_) + ": " + std::strerror(failure_));
        }
        if (promised_ >= 0 && taken_ < promised_) {
            return Error(ErrorCode::truncated_input, name_ + ": the header promises " + std::to_string(promised_) +
                                                         " bytes of samples, but the input ends after " +
                                                         std::to_string(taken_));
        }
        if (promised_ < 0 && taken_ % frame_bytes_ != 0) {
            return Error(ErrorCode::truncated_input, name_ + ": ends inside a sample frame, after " +
                                                         std::to_string(taken_) + " bytes of samples at " +
                                                         std::to_string(frame_bytes_) + " bytes a frame");
        }
        return got;
    }

private:
    static RawFrames& self(void* user) { return *static_cast<RawFrames*>(user); }
    static sf_count_t length(void*) { return SF_COUNT_MAX; }
    static sf_count_t seek(sf_count_t, int, void*) { return 0; }
    static sf_count_t write(void const*, sf_count_t, void*) { return 0; }
    static sf_count_t tell(void* user) { return self(user).taken_; }
    static sf_count_t read_bytes(void* to, sf_count_t bytes, void* user) {
        auto& frames = self(user);
        if (frames.promised_ >= 0) { bytes = std::min<sf_count_t>(bytes, frames.promised_ - frames.taken_); }
        sf_count_t done = 0;
        while (done < bytes && frames.failure_ == 0) {
            index_t const got = frames.source_(static_cast<char*>(to) + done, bytes - done);
            if (got < 0) { frames.failure_ = errno; }
            if (got <= 0) { break; }
            done += got;
        }
        frames.taken_ += done;
        return done;
    }

    std::string name_;
    ByteSource source_;
    index_t promised_;
    index_t frame_bytes_;
    index_t taken_ = 0; ///< bytes of samples read from the source
    int failure_ = 0;   ///< errno of a failed read
    SNDFILE* file_ = nullptr;
};

/// The whole of `text` as a number, or -1.
template <class T>
T parse_number(std::string_view text) {
    T value = -1;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size() ? value : T{-1};
}

Error invalid(std::string const& text, std::string const& reason) {
    return Error(ErrorCode::invalid_argument,
                 "raw audio '" + text + "': " + reason + "; give encoding:rate:channels, as in s16le:16000:1");
}

} // namespace

Result<RawAudioFormat> RawAudioFormat::parse(std::string const& text) {
    auto const first = text.find(':');
    auto const second = first == std::string::npos ? first : text.find(':', first + 1);
    if (second == std::string::npos) { return invalid(text, "has not three parts"); }
    auto const word = text.substr(0, first);
    auto const rate = text.substr(first + 1, second - first - 1);
    auto const channels = text.substr(second + 1);

    auto const encoding =
        std::find_if(kEncodings.begin(), kEncodings.end(), [&](Encoding const& e) { return e.word == word; });
    if (encoding == kEncodings.end()) {
        std::string known;
        for (auto const& e : kEncodings) {
            known += (known.empty() ? "" : ", ") + std::string(e.word);
        }
        return invalid(text, "'" + word + "' is not one of " + known);
    }
    RawAudioFormat format;
    format.sample = encoding->sample;
    format.sample_rate_hz = parse_number<double>(rate);
    if (!(format.sample_rate_hz >= 1 && format.sample_rate_hz <= 1e7)) {
        return invalid(text, "the rate '" + rate + "' is not a number of Hz from 1 to 10000000");
    }
    format.channels = parse_number<index_t>(channels);
    if (format.channels < 1 || format.channels > 1024) {
        return invalid(text, "the channel count '" + channels + "' is not a number from 1 to 1024");
    }
    return format;
}

Result<std::unique_ptr<AudioReader>> open_raw_stream(std::string const& name, ByteSource source, RawAudioFormat format,
                                                     index_t bytes) {
    AudioStreamInfo info{name, format.sample_rate_hz, format.channels, -1};
    if (format.channels < 1 || format.channels > 1024) { return make_audio_stream(std::move(info), nullptr); }
    if (bytes >= 0) { info.frames = bytes / (encoding_of(format.sample).bytes * format.channels); }
    auto frames = std::make_unique<RawFrames>(name, std::move(source), format, bytes);
    if (!frames->is_open()) { return Error(ErrorCode::io, name + ": libsndfile: " + sf_strerror(nullptr)); }
    return make_audio_stream(std::move(info), std::move(frames));
}

Result<std::unique_ptr<AudioReader>> open_raw_audio(std::filesystem::path const& path, RawAudioFormat format) {
    auto source = open_byte_source(path);
    if (!source) { return source.error(); }
    return open_raw_stream(input_name(path), std::move(*source), format);
}

} // namespace strandwave
