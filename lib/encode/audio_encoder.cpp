#include "lib/encode/audio_encoder.h"

#include "lib/core/error.h"
#include "lib/encode/mulaw_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <soxr.h>
#include <utility>

namespace strandwave {
namespace {

/// soxr, always fed blocks of one size, so that its output cannot depend on how its input was cut.
class Resampler {
public:
    Resampler(double from_hz, double to_hz) {
        if (to_hz / from_hz > kMaxUpsampling) {
            throw Error(ErrorCode::unsupported, "a recording at " + std::to_string(from_hz) +
                                                    " Hz is too coarse for a model of " + std::to_string(to_hz) +
                                                    " Hz: at most 64 samples are made of one");
        }
        constexpr unsigned kChannels = 1;
        soxr_io_spec_t const io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
        soxr_quality_spec_t const quality = soxr_quality_spec(SOXR_HQ, 0);
        soxr_runtime_spec_t const runtime = soxr_runtime_spec(1);
        soxr_error_t error = nullptr;
        soxr_.reset(soxr_create(from_hz, to_hz, kChannels, &error, &io, &quality, &runtime));
        if (error != nullptr) {
            throw Error(ErrorCode::invalid_argument, "cannot resample from " + std::to_string(from_hz) + " to " +
                                                         std::to_string(to_hz) + " Hz: " + error);
        }
        waiting_.reserve(kBlock);
    }

    void feed(View<float const, 1> samples, std::vector<float>& resampled) {
        for (index_t done = 0; done < samples.size;) {
            index_t const part = std::min(kBlock - static_cast<index_t>(waiting_.size()), samples.size - done);
            waiting_.insert(waiting_.end(), samples.data + done, samples.data + done + part);
            done += part;
            if (static_cast<index_t>(waiting_.size()) == kBlock) { process(resampled); }
        }
    }

    void finish(std::vector<float>& resampled) {
        process(resampled);
        while (drain(nullptr, 0, resampled).second == static_cast<std::size_t>(kBlock)) {}
    }

private:
    static constexpr index_t kBlock = 4096;
    static constexpr double kMaxUpsampling = 64; // bounds the memory that a wrong rate in a header can ask for

    void process(std::vector<float>& resampled) {
        for (std::size_t used = 0; used < waiting_.size();) {
            used += drain(waiting_.data() + used, waiting_.size() - used, resampled).first;
        }
        waiting_.clear();
    }

    /// Samples taken and samples given.
    std::pair<std::size_t, std::size_t> drain(float const* in, std::size_t in_size, std::vector<float>& resampled) {
        std::array<float, kBlock> out;
        std::size_t used = 0;
        std::size_t made = 0;
        soxr_error_t const error = soxr_process(soxr_.get(), in, in_size, &used, out.data(), out.size(), &made);
        if (error != nullptr) { throw Error(ErrorCode::invalid_argument, std::string("resampling failed: ") + error); }
        resampled.insert(resampled.end(), out.data(), out.data() + made);
        return {used, made};
    }

    struct Delete {
        void operator()(soxr_t soxr) const noexcept { soxr_delete(soxr); }
    };
    std::unique_ptr<soxr, Delete> soxr_;
    std::vector<float> waiting_;
};

/// Cuts a stream of samples into frames that may overlap or leave gaps.
class Framer {
public:
    Framer(index_t length, index_t hop) : length_(length), hop_(hop) {}

    void feed(View<float const, 1> samples, std::vector<float>& frames) {
        if (length_ == hop_ && held_.empty()) { samples = take_whole_frames(samples, frames); }
        index_t const dropped = std::min(to_drop_, samples.size);
        to_drop_ -= dropped;
        held_.insert(held_.end(), samples.data + dropped, samples.data + samples.size);
        auto const size = static_cast<index_t>(held_.size());
        index_t start = 0;
        for (; start + length_ <= size; start += hop_) {
            frames.insert(frames.end(), held_.begin() + start, held_.begin() + start + length_);
            covered_ = length_ - hop_;
        }
        if (start > size) { to_drop_ = start - size; }
        held_.erase(held_.begin(), held_.begin() + std::min(start, size));
    }

    /// Where frames neither overlap nor leave gaps they are the samples as they are. Returns the rest.
    View<float const, 1> take_whole_frames(View<float const, 1> samples, std::vector<float>& frames) {
        index_t const whole = samples.size / length_ * length_;
        frames.insert(frames.end(), samples.data, samples.data + whole);
        if (whole > 0) { covered_ = 0; }
        return {samples.data + whole, samples.size - whole};
    }

    void finish(std::vector<float>& frames) {
        auto const size = static_cast<index_t>(held_.size());
        if (size > std::max<index_t>(covered_, 0)) {
            frames.insert(frames.end(), held_.begin(), held_.end());
            frames.resize(frames.size() + static_cast<std::size_t>(length_ - size));
        }
        held_.clear();
    }

private:
    index_t length_;
    index_t hop_;
    std::vector<float> held_; ///< samples from the start of the next frame on
    index_t covered_ = 0;     ///< how many of them the frame before covers
    index_t to_drop_ = 0;     ///< samples still to come before the next frame starts (hop > length)
};

} // namespace

std::int32_t mulaw_token(float sample) noexcept {
    constexpr double kMu = 255;
    double const x = sample < 1 ? (sample > -1 ? sample : -1.0) : 1.0; // a NaN takes the last branch, no cast sees it
    double const magnitude = std::log1p(kMu * std::fabs(x)) / std::log1p(kMu);
    return static_cast<std::int32_t>(std::floor((std::copysign(magnitude, x) + 1) / 2 * kMu + 0.5));
}

struct AudioEncoder::Impl {
    Impl(AudioPolicy const& policy_, double source_rate_hz)
        : policy(policy_), framer(policy_.frame_length, policy_.frame_hop) {
        if (source_rate_hz != policy.sampling_rate_hz) {
            resampler = std::make_unique<Resampler>(source_rate_hz, policy.sampling_rate_hz);
        }
    }

    void encode_at_rate(View<float const, 1> samples, std::vector<std::int32_t>& tokens, std::vector<float>& frames) {
        if (policy.encoding == AudioEncoding::frames) {
            framer.feed(samples, frames);
            return;
        }
        auto const before = tokens.size();
        tokens.resize(before + static_cast<std::size_t>(samples.size));
        auto const& table = MulawTable::instance();
        std::transform(samples.data, samples.data + samples.size, tokens.begin() + static_cast<index_t>(before),
                       [&table](float sample) { return table.token(sample); });
    }

    AudioPolicy policy;
    Framer framer;
    std::unique_ptr<Resampler> resampler; ///< null where the rates are equal
    std::vector<float> resampled;
};

AudioEncoder::AudioEncoder(AudioPolicy policy, double source_rate_hz) {
    auto const positive = [](double rate) { return std::isfinite(rate) && rate > 0; };
    if (!positive(source_rate_hz) || !positive(policy.sampling_rate_hz)) {
        throw Error(ErrorCode::invalid_argument, "sampling rates must be positive, not " +
                                                     std::to_string(source_rate_hz) + " and " +
                                                     std::to_string(policy.sampling_rate_hz) + " Hz");
    }
    if (policy.encoding == AudioEncoding::frames && (policy.frame_length < 1 || policy.frame_hop < 1)) {
        throw Error(ErrorCode::invalid_argument, "frame length and hop must be at least 1, not " +
                                                     std::to_string(policy.frame_length) + " and " +
                                                     std::to_string(policy.frame_hop));
    }
    impl_ = std::make_unique<Impl>(policy, source_rate_hz);
}

AudioEncoder::~AudioEncoder() = default;

void AudioEncoder::encode(View<float const, 1> samples, std::vector<std::int32_t>& tokens, std::vector<float>& frames) {
    if (!impl_->resampler) { return impl_->encode_at_rate(samples, tokens, frames); }
    impl_->resampled.clear();
    impl_->resampler->feed(samples, impl_->resampled);
    auto const& resampled = impl_->resampled;
    impl_->encode_at_rate({resampled.data(), static_cast<index_t>(resampled.size())}, tokens, frames);
}

void AudioEncoder::finish(std::vector<std::int32_t>& tokens, std::vector<float>& frames) {
    if (impl_->resampler) {
        impl_->resampled.clear();
        impl_->resampler->finish(impl_->resampled);
        auto const& resampled = impl_->resampled;
        impl_->encode_at_rate({resampled.data(), static_cast<index_t>(resampled.size())}, tokens, frames);
    }
    if (impl_->policy.encoding == AudioEncoding::frames) { impl_->framer.finish(frames); }
}

namespace {

/// The mean of the channels of each frame; how many there are is known when this is compiled, where it is not 0.
template <int Channels>
void mix(float const* interleaved, index_t channels, std::vector<float>& mono) {
    if constexpr (Channels > 0) { channels = Channels; }
    for (float& mixed : mono) {
        double sum = 0;
        for (index_t c = 0; c < channels; ++c) {
            sum += interleaved[c];
        }
        mixed = static_cast<float>(sum / static_cast<double>(channels));
        interleaved += channels;
    }
}

} // namespace

void take_channel(View<float const, 1> interleaved, index_t channels, ChannelPolicy policy, index_t channel,
                  std::vector<float>& mono) {
    if (channels < 1 || interleaved.size % channels != 0 || channel < 0 || channel >= channels) {
        throw Error(ErrorCode::invalid_argument, "channel " + std::to_string(channel) + " of " +
                                                     std::to_string(channels) + " in " +
                                                     std::to_string(interleaved.size) + " samples");
    }
    mono.resize(static_cast<std::size_t>(interleaved.size / channels));
    if (policy == ChannelPolicy::mix && channels == 2) { return mix<2>(interleaved.data, channels, mono); }
    if (policy == ChannelPolicy::mix) { return mix<0>(interleaved.data, channels, mono); }
    auto const* at = interleaved.data + (policy == ChannelPolicy::each ? channel : 0);
    for (float& sample : mono) {
        sample = *at;
        at += channels;
    }
}

std::vector<float> take_channel(View<float const, 1> interleaved, index_t channels, ChannelPolicy policy,
                                index_t channel) {
    std::vector<float> mono;
    take_channel(interleaved, channels, policy, channel, mono);
    return mono;
}

} // namespace strandwave
