#include "formats/sound_reader.h"

#include "formats/audio_stream.h"
#include "formats/read_ahead.h"
#include "formats/sound_container.h"
#include "formats/wav_stream.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <htslib/hts.h>
#include <limits>
#include <sndfile.h>
#include <span>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

struct CloseFile {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
struct CloseSound {
    void operator()(SNDFILE* file) const noexcept { sf_close(file); }
};

/// An opened recording. `bytes` is set when libsndfile reads through our callbacks; it is closed last.
struct SoundFile {
    std::unique_ptr<std::FILE, CloseFile> bytes;
    std::unique_ptr<SNDFILE, CloseSound> sound;
    SF_INFO info{};
};

int container_of(SF_INFO const& info) { return info.format & SF_FORMAT_TYPEMASK; }

/// -1 where the header does not say; libsndfile has a huge number there.
index_t promised_frames(SF_INFO const& info) {
    constexpr auto kHuge = std::numeric_limits<sf_count_t>::max() / 1024;
    return info.frames >= 0 && info.frames < kHuge ? info.frames : -1;
}

/// libsndfile reads an MP3 without a frame count (Xing) only up to a length guessed from the file size, which loses a
/// part of most of them. When the end of the file cannot be sought it does not guess and reads to the end.
sf_count_t mp3_length(void*) { return SF_COUNT_MAX; }
sf_count_t mp3_seek(sf_count_t offset, int whence, void* user) {
    auto* file = static_cast<std::FILE*>(user);
    if (whence == SEEK_END || fseeko(file, offset, whence) != 0) { return -1; }
    return ftello(file);
}
sf_count_t mp3_read(void* to, sf_count_t bytes, void* user) {
    return static_cast<sf_count_t>(std::fread(to, 1, static_cast<std::size_t>(bytes), static_cast<std::FILE*>(user)));
}
sf_count_t mp3_write(void const*, sf_count_t, void*) { return 0; }
sf_count_t mp3_tell(void* user) { return ftello(static_cast<std::FILE*>(user)); }

Result<SoundFile> open_with_libsndfile(std::string const& name) {
    SoundFile file;
    file.sound.reset(sf_open(name.c_str(), SFM_READ, &file.info));
    if (file.sound && container_of(file.info) == SF_FORMAT_MPEG) {
        file.sound.reset();
        file.info = {};
        file.bytes.reset(std::fopen(name.c_str(), "rb"));
        if (!file.bytes) { return Error(ErrorCode::io, name + ": cannot be opened again"); }
        SF_VIRTUAL_IO io{mp3_length, mp3_seek, mp3_read, mp3_write, mp3_tell};
        file.sound.reset(sf_open_virtual(&io, SFM_READ, &file.info, file.bytes.get()));
        if (!file.sound) { // libsndfile's own words for it are about missing files
            return Error(ErrorCode::malformed_input, name + ": damaged: its MP3 frames cannot be decoded in order");
        }
    }
    if (!file.sound) {
        int const failure = sf_error(nullptr);
        auto const code = failure == SF_ERR_UNSUPPORTED_ENCODING ? ErrorCode::unsupported
                          : failure == SF_ERR_SYSTEM             ? ErrorCode::io
                                                                 : ErrorCode::malformed_input;
        return Error(code, name + ": cannot be read as sound: " + sf_strerror(nullptr));
    }
    return file;
}

/// A decoder that lost its place goes on behind the gap; all frames that the header promises must have come.
class DecodedFrames : public FrameSource {
public:
    DecodedFrames(std::string name, SoundFile file)
        : name_(std::move(name)), file_(std::move(file)), promised_(promised_frames(file_.info)) {}

    Result<index_t> read(float* to, index_t frames) override {
        index_t const got = decode(to, frames);
        decoded_ += got;
        if (got == frames) { return got; }
        auto const reason =
            sf_error(sound()) == SF_ERR_NO_ERROR ? std::string() : std::string(": ") + sf_strerror(sound());
        if (promised_ >= 0 && decoded_ < promised_) {
            return Error(ErrorCode::truncated_input, name_ + ": cut off or damaged: the header promises " +
                                                         std::to_string(promised_) + " frames, but only " +
                                                         std::to_string(decoded_) + " could be decoded" + reason);
        }
        if (!reason.empty()) {
            return Error(ErrorCode::malformed_input,
                         name_ + ": damaged or cut off: decoding failed at frame " + std::to_string(decoded_) + reason);
        }
        if (auto whole = check_content(); !whole) { return whole.error(); }
        return got;
    }

protected:
    SNDFILE* sound() const { return file_.sound.get(); }
    index_t channels() const { return file_.info.channels; }
    std::string const& name() const { return name_; }

    virtual index_t decode(float* to, index_t frames) { return sf_readf_float(sound(), to, frames); }
    virtual Result<void> check_content() { return {}; }

private:
    std::string name_;
    SoundFile file_;
    index_t promised_;
    index_t decoded_ = 0;
};

/// Samples of 16 bits, the same as libsndfile makes of them, in less than half the time.
class Pcm16Frames final : public DecodedFrames {
public:
    using DecodedFrames::DecodedFrames;

private:
    index_t decode(float* to, index_t frames) override {
        samples_.resize(std::max(samples_.size(), static_cast<std::size_t>(frames * channels())));
        index_t const got = sf_readf_short(sound(), samples_.data(), frames);
        std::transform(samples_.begin(), samples_.begin() + got * channels(), to,
                       [](short sample) { return static_cast<float>(sample) * 0x1p-15F; });
        return got;
    }

    std::vector<short> samples_;
};

/// The low `Bytes` bytes of each sample, the lowest first.
template <int Bytes>
void pack(std::vector<int> const& samples, int shift, std::vector<unsigned char>& packed) {
    packed.resize(samples.size() * Bytes);
    auto* out = packed.data();
    for (int const sample : samples) {
        for (int b = 0; b < Bytes; ++b) {
            *out++ = static_cast<unsigned char>(sample >> shift >> (8 * b));
        }
    }
}

/// A FLAC carries the MD5 of its samples. libFLAC replaces a frame whose check sum fails by silence and libsndfile does
/// not tell, so the sum is what shows that the recording is sound. With `ahead` a thread of its own decodes, beside the
/// sum.
class FlacFrames final : public DecodedFrames {
public:
    using Digest = std::array<unsigned char, 16>;

    FlacFrames(std::string name, SoundFile file, int bits, Digest expected, bool ahead)
        : DecodedFrames(std::move(name), std::move(file)), bits_(bits), expected_(expected), md5_(hts_md5_init()) {
        if (ahead) {
            ahead_ = std::make_unique<ReadAhead<Samples>>([this](Samples& block) { return fill(block); });
        }
    }

private:
    using Samples = std::vector<int>; ///< whole frames, left-justified in 32 bits

    struct DestroyMd5 {
        void operator()(hts_md5_context* context) const noexcept { hts_md5_destroy(context); }
    };

    index_t decode(float* to, index_t frames) override {
        index_t const wanted = frames * channels();
        index_t got = 0;
        while (got < wanted && (!rest_.empty() || next_block())) {
            auto const part = rest_.first(std::min(rest_.size(), static_cast<std::size_t>(wanted - got)));
            std::transform(part.begin(), part.end(), to + got,
                           [](int sample) { return static_cast<float>(sample) * 0x1p-31F; });
            rest_ = rest_.subspan(part.size());
            got += static_cast<index_t>(part.size());
        }
        return got / channels();
    }

    /// A short read is the end, also where libsndfile would go on behind what it could not decode.
    bool fill(Samples& block) {
        if (decoder_ended_) { return false; }
        index_t const frames = std::max<index_t>(kBlockSamples / channels(), 1);
        block.resize(static_cast<std::size_t>(frames * channels()));
        auto const got = sf_readf_int(sound(), block.data(), frames);
        block.resize(static_cast<std::size_t>(got * channels()));
        decoder_ended_ = got < frames;
        return got > 0;
    }

    /// The sum is over little-endian integers of as few bytes as hold a sample.
    bool next_block() {
        auto const* const block = ahead_ ? ahead_->next() : fill(block_) ? &block_ : nullptr;
        if (block == nullptr) { return false; }
        int const shift = 32 - bits_;
        switch ((bits_ + 7) / 8) {
        case 1: pack<1>(*block, shift, packed_); break;
        case 2: pack<2>(*block, shift, packed_); break;
        case 3: pack<3>(*block, shift, packed_); break;
        default: pack<4>(*block, shift, packed_);
        }
        hts_md5_update(md5_.get(), packed_.data(), packed_.size());
        rest_ = *block;
        return true;
    }

    Result<void> check_content() override {
        constexpr Digest kNotGiven{};
        Digest found{};
        hts_md5_final(found.data(), md5_.get());
        if (expected_ == kNotGiven || found == expected_) { return {}; }
        return Error(ErrorCode::malformed_input, name() + ": damaged: the samples do not match the file's own MD5 sum "
                                                          "(decoders fill damaged parts with silence)");
    }

    static constexpr index_t kBlockSamples = 1 << 16;

    int bits_;
    Digest expected_;
    std::unique_ptr<hts_md5_context, DestroyMd5> md5_;
    std::vector<unsigned char> packed_;
    bool decoder_ended_ = false;
    Samples block_;             ///< where nothing is decoded ahead
    std::span<int const> rest_; ///< of the block in use
    std::unique_ptr<ReadAhead<Samples>> ahead_;
};

/// The STREAMINFO block of a FLAC file, 34 bytes behind "fLaC" and a 4-byte block header: 20 bits of rate, 3 of
/// channels, 5 of bits a sample - 1, 36 of length, then the MD5 (RFC 9639, 8.2). An ID3 tag in front hides it.
std::unique_ptr<FrameSource> make_flac_source(std::string const& name, SoundFile file, bool ahead) {
    std::array<char, 42> head{};
    std::ifstream(name, std::ios::binary).read(head.data(), head.size());
    auto const byte = [&](std::size_t at) { return static_cast<unsigned char>(head[at]); };
    int const bits = ((byte(20) & 1) << 4 | byte(21) >> 4) + 1;
    if (std::string_view(head.data(), 4) != "fLaC" || bits > 32) {
        return std::make_unique<DecodedFrames>(name, std::move(file));
    }
    FlacFrames::Digest md5{};
    for (std::size_t i = 0; i < md5.size(); ++i) {
        md5[i] = byte(26 + i);
    }
    return std::make_unique<FlacFrames>(name, std::move(file), bits, md5, ahead);
}

} // namespace

Result<std::unique_ptr<AudioReader>> open_sound_stream(std::string const& name, ByteSource source) {
    return open_wav_stream(name, std::move(source));
}

Result<std::unique_ptr<AudioReader>> open_sound_file(std::filesystem::path const& path, int threads) {
    auto bytes = open_byte_source(path); // finds what is missing or forbidden, with the system's own words
    if (!bytes) { return bytes.error(); }
    auto const name = input_name(path);
    std::error_code ignored;
    if (path == "-" || !std::filesystem::is_regular_file(path, ignored)) {
        return open_sound_stream(name, std::move(*bytes));
    }
    if (std::filesystem::file_size(path, ignored) == 0) {
        return Error(ErrorCode::malformed_input, name + ": is empty; a recording without samples still has a header");
    }
    auto length = check_container_length(path);
    if (!length) { return length.error(); }
    if (*length == ContainerLength::unknown) { return open_wav_stream(name, std::move(*bytes)); }
    auto file = open_with_libsndfile(name);
    if (!file) { return file.error(); }

    AudioStreamInfo info{name, static_cast<double>(file->info.samplerate), file->info.channels,
                         promised_frames(file->info)};
    std::unique_ptr<FrameSource> source;
    if (container_of(file->info) == SF_FORMAT_FLAC) {
        source = make_flac_source(name, std::move(*file), threads > 0);
    } else {
        bool const pcm16 = (file->info.format & SF_FORMAT_SUBMASK) == SF_FORMAT_PCM_16;
        source = pcm16 ? std::make_unique<Pcm16Frames>(name, std::move(*file))
                       : std::make_unique<DecodedFrames>(name, std::move(*file));
    }
    return make_audio_stream(std::move(info), std::move(source));
}

} // namespace strandwave
