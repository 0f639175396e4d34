#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace strandwave {

enum class AudioEncoding : std::uint8_t { mulaw, frames };
enum class ChannelPolicy : std::uint8_t { mix, first, each }; ///< average | channel 0 | one record a channel

struct AudioPolicy {
    double sampling_rate_hz = 16000; ///< of the model; other rates are resampled
    AudioEncoding encoding = AudioEncoding::mulaw;
    index_t frame_length = 0; ///< samples a frame, for AudioEncoding::frames
    index_t frame_hop = 0;    ///< samples from one frame's start to the next's
    ChannelPolicy channels = ChannelPolicy::mix;
};

/// 8-bit mu-law token of a sample, as torchaudio's mu_law_encoding(256) has it:
/// floor((sign(x) * ln(1 + 255 |x|) / ln(256) + 1) / 2 * 255 + 0.5), x clipped to [-1, 1].
std::int32_t mulaw_token(float sample) noexcept;

/// Streams mono samples of one recording to the model's rate (soxr, "high quality"), then to tokens or frames.
/// The result does not depend on how the samples are cut into calls.
/// Frames: frame i covers samples [i * hop, i * hop + length); the tail that does not fill a frame is padded with zeros
/// if it holds samples that no frame before covers.
class AudioEncoder {
public:
    /// Throws invalid_argument (a rate, frame length or hop that is not positive), unsupported (a source rate below
    /// 1/64 of the model's).
    AudioEncoder(AudioPolicy policy, double source_rate_hz);
    ~AudioEncoder();

    /// Appends to `tokens` (mulaw) or `frames` (row-major [n, frame_length]); the other vector is left alone.
    void encode(View<float const, 1> samples, std::vector<std::int32_t>& tokens, std::vector<float>& frames);
    /// The recording is over: flushes the resampler and the last frame.
    void finish(std::vector<std::int32_t>& tokens, std::vector<float>& frames);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// Takes one channel (or, for `mix`, the mean of all) out of interleaved samples `[frames * channels]`. `channel`
/// counts for ChannelPolicy::each only. Throws invalid_argument.
std::vector<float> take_channel(View<float const, 1> interleaved, index_t channels, ChannelPolicy policy,
                                index_t channel);
/// The same into a vector that is used again.
void take_channel(View<float const, 1> interleaved, index_t channels, ChannelPolicy policy, index_t channel,
                  std::vector<float>& mono);

} // namespace strandwave
