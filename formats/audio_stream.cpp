#include "formats/audio_stream.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>

namespace strandwave {
namespace {

constexpr double kMaxRateHz = 1e7;            // hydrophones and ultrasound stay below; above is a broken header
constexpr index_t kMaxChannels = 1024;        // libsndfile's own limit
constexpr index_t kMaxChunkSamples = 1 << 22; // 16 MiB

/// Without a way out of the loop, so that compilers make vector code of it. What is not finite has all bits of the
/// exponent set.
bool all_finite(std::vector<float> const& samples) {
    constexpr std::uint32_t kExponent = 0x7f800000;
    std::uint32_t odd = 0;
    for (float const sample : samples) {
        odd |= (std::bit_cast<std::uint32_t>(sample) & kExponent) == kExponent ? 1U : 0U;
    }
    return odd == 0;
}

class AudioStream final : public AudioReader {
public:
    AudioStream(AudioStreamInfo info, std::unique_ptr<FrameSource> source)
        : info_(std::move(info)), source_(std::move(source)) {}

    double sample_rate_hz() const override { return info_.sample_rate_hz; }
    index_t channels() const override { return info_.channels; }
    index_t frames() const override { return info_.frames; }

    Result<ReadOutcome> next(AudioChunk& chunk, index_t max_frames) override {
        if (max_frames < 1) { return Error(ErrorCode::invalid_argument, "max_frames must be at least 1"); }
        if (spent_) { return ReadOutcome::end_of_stream; }
        spent_ = true; // until this call has succeeded
        if (auto filled = fill(chunk, std::min(max_frames, kMaxChunkSamples / info_.channels)); !filled) {
            return filled.error();
        }
        spent_ = chunk.last;
        return ReadOutcome::chunk;
    }

private:
    /// One frame is always read ahead: only then is it known whether this chunk is the last.
    Result<void> fill(AudioChunk& chunk, index_t max_frames) {
        chunk.channels = info_.channels;
        chunk.offset = position_;
        chunk.first = position_ == 0;
        auto const kept = static_cast<index_t>(ahead_.size());
        auto const wanted = max_frames + 1 - kept / info_.channels;
        chunk.samples.resize(kept + wanted * info_.channels);
        std::copy(ahead_.begin(), ahead_.end(), chunk.samples.begin());

        auto got = source_->read(chunk.samples.data() + kept, wanted);
        if (!got) { return got.error(); }
        chunk.samples.resize(kept + *got * info_.channels);
        chunk.last = *got < wanted;
        if (chunk.last) {
            ahead_.clear();
        } else {
            ahead_.assign(chunk.samples.end() - info_.channels, chunk.samples.end());
            chunk.samples.resize(chunk.samples.size() - info_.channels);
        }
        position_ += static_cast<index_t>(chunk.samples.size()) / info_.channels;
        return check_finite(chunk);
    }

    Result<void> check_finite(AudioChunk const& chunk) const {
        if (all_finite(chunk.samples)) { return {}; }
        auto const odd = std::find_if_not(chunk.samples.begin(), chunk.samples.end(),
                                          [](float sample) { return std::isfinite(sample); });
        index_t const sample = odd - chunk.samples.begin();
        return Error(ErrorCode::malformed_input,
                     info_.name + ": the sample at frame " + std::to_string(chunk.offset + sample / info_.channels) +
                         ", channel " + std::to_string(sample % info_.channels) + " is " +
                         (std::isnan(*odd) ? "not a number" : "infinite") + "; repair the recording first");
    }

    AudioStreamInfo info_;
    std::unique_ptr<FrameSource> source_;
    std::vector<float> ahead_; ///< the frame behind the last chunk
    index_t position_ = 0;     ///< frames given so far
    bool spent_ = false;
};

} // namespace

Result<std::unique_ptr<AudioReader>> make_audio_stream(AudioStreamInfo info, std::unique_ptr<FrameSource> source) {
    if (!(info.sample_rate_hz >= 1 && info.sample_rate_hz <= kMaxRateHz)) {
        return Error(ErrorCode::malformed_input, info.name + ": a sampling rate of " +
                                                     std::to_string(info.sample_rate_hz) +
                                                     " Hz is out of range (1 to 10000000)");
    }
    if (info.channels < 1 || info.channels > kMaxChannels) {
        return Error(ErrorCode::malformed_input,
                     info.name + ": " + std::to_string(info.channels) + " channels are out of range (1 to 1024)");
    }
    return std::unique_ptr<AudioReader>(new AudioStream(std::move(info), std::move(source)));
}

} // namespace strandwave
