#include "lib/encode/audio_encoder.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>
#include <vector>

namespace strandwave {
namespace {

using Floats = std::vector<float>;
using Ids = std::vector<std::int32_t>;

struct Encoded {
    Ids tokens;
    Floats frames;
};

Encoded encode(AudioPolicy const& policy, double source_rate_hz, Floats const& samples, std::size_t cut) {
    AudioEncoder encoder(policy, source_rate_hz);
    Encoded encoded;
    for (std::size_t begin = 0; begin < samples.size(); begin += cut) {
        auto const count = std::min(cut, samples.size() - begin);
        encoder.encode({samples.data() + begin, static_cast<index_t>(count)}, encoded.tokens, encoded.frames);
    }
    encoder.finish(encoded.tokens, encoded.frames);
    return encoded;
}

AudioPolicy frames_policy(index_t length, index_t hop) {
    return {.sampling_rate_hz = 16000, .encoding = AudioEncoding::frames, .frame_length = length, .frame_hop = hop};
}

Floats ramp(std::size_t size) {
    Floats samples(size);
    std::iota(samples.begin(), samples.end(), 1.0F);
    return samples;
}

Floats noise(std::size_t size) {
    Random random(11);
    Floats samples(size);
    for (auto& sample : samples) {
        sample = static_cast<float>(random.uniform(-1, 1));
    }
    return samples;
}

// Independent of the code under test: the inverse of the companding curve gives the sample at which a token begins,
// x = sign(y) (256^|y| - 1) / 255 with y = 2 (token - 0.5) / 255 - 1.
TEST(MuLaw, EveryInt16SampleHasTheTokenWhoseIntervalHoldsIt) {
    std::vector<double> begins;
    for (int token = 1; token < 256; ++token) {
        double const y = 2 * (token - 0.5) / 255 - 1;
        begins.push_back(std::copysign((std::pow(256.0, std::fabs(y)) - 1) / 255, y));
    }
    for (int value = -32768; value <= 32767; ++value) {
        double const x = value / 32768.0;
        auto const token = std::upper_bound(begins.begin(), begins.end(), x) - begins.begin();
        ASSERT_EQ(mulaw_token(static_cast<float>(x)), token) << value;
    }
}

TEST(MuLaw, BoundariesAndClipping) {
    EXPECT_EQ(mulaw_token(-1.0F), 0);
    EXPECT_EQ(mulaw_token(1.0F), 255);
    EXPECT_EQ(mulaw_token(0.0F), 128); // torchaudio: ((0 + 1) / 2 * 255 + 0.5) = 128
    EXPECT_EQ(mulaw_token(-0.0F), 128);
    EXPECT_EQ(mulaw_token(2.5F), 255);
    EXPECT_EQ(mulaw_token(-std::numeric_limits<float>::infinity()), 0);
    EXPECT_EQ(mulaw_token(-1e-6F), 127); // the interval of 128 begins at 0
}

TEST(AudioEncoder, EqualRatesLeaveSamplesAlone) {
    auto const samples = noise(5000);
    auto const encoded = encode({.sampling_rate_hz = 8000}, 8000, samples, 777);
    ASSERT_EQ(encoded.tokens.size(), samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) {
        ASSERT_EQ(encoded.tokens[i], mulaw_token(samples[i]));
    }
    EXPECT_TRUE(encoded.frames.empty());
}

TEST(AudioEncoder, FramesOverlapAndTheLastIsPadded) {
    EXPECT_EQ(encode(frames_policy(4, 2), 16000, ramp(7), 3).frames, (Floats{1, 2, 3, 4, 3, 4, 5, 6, 5, 6, 7, 0}));
    EXPECT_EQ(encode(frames_policy(4, 2), 16000, ramp(6), 3).frames, (Floats{1, 2, 3, 4, 3, 4, 5, 6}));
    EXPECT_EQ(encode(frames_policy(3, 3), 16000, ramp(4), 3).frames, (Floats{1, 2, 3, 4, 0, 0}));
    EXPECT_EQ(encode(frames_policy(3, 3), 16000, ramp(3), 3).frames, (Floats{1, 2, 3}));
    EXPECT_EQ(encode(frames_policy(2, 5), 16000, ramp(11), 1).frames, (Floats{1, 2, 6, 7, 11, 0}));
    EXPECT_EQ(encode(frames_policy(2, 5), 16000, ramp(10), 4).frames, (Floats{1, 2, 6, 7}));
    EXPECT_EQ(encode(frames_policy(8, 1), 16000, ramp(3), 2).frames, (Floats{1, 2, 3, 0, 0, 0, 0, 0}));
    EXPECT_EQ(encode(frames_policy(8, 1), 16000, {}, 2).frames, Floats{});
}

// Against the definition: frame i is samples [i hop, i hop + length), zeros behind the end, and exists if it holds a
// sample that no frame before it covers.
TEST(AudioEncoder, FramesAreAsDefinedForAnyLengthHopAndCut) {
    for (index_t const length : {1, 2, 5}) {
        for (index_t const hop : {1, 2, 3, 5, 7}) {
            for (index_t total = 0; total < 24; ++total) {
                auto const samples = ramp(static_cast<std::size_t>(total));
                Floats expected;
                for (index_t i = 0; i * hop < total && (i == 0 || (i - 1) * hop + length < total); ++i) {
                    for (index_t at = i * hop; at < i * hop + length; ++at) {
                        expected.push_back(at < total ? samples[at] : 0);
                    }
                }
                for (std::size_t const cut : {1U, 2U, 3U, 100U}) {
                    ASSERT_EQ(encode(frames_policy(length, hop), 16000, samples, cut).frames, expected)
                        << length << " " << hop << " " << total << " " << cut;
                }
            }
        }
    }
}

TEST(AudioEncoder, ResamplingDoesNotDependOnCuts) {
    auto const samples = noise(30011);
    for (double const rate : {44100.0, 8000.0, 48000.0, 11025.0}) {
        for (auto const& policy : {AudioPolicy{}, frames_policy(320, 160)}) {
            auto const whole = encode(policy, rate, samples, samples.size());
            for (std::size_t const cut : {1U, 7U, 1000U, 4096U}) {
                auto const pieces = encode(policy, rate, samples, cut);
                EXPECT_EQ(pieces.tokens, whole.tokens) << rate << " Hz cut at " << cut;
                EXPECT_EQ(pieces.frames, whole.frames) << rate << " Hz cut at " << cut;
            }
        }
    }
}

// A 440 Hz tone stays a 440 Hz tone of the same size: SOXR_HQ states a pass-band ripple below 0.01 dB and 20 bits of
// noise floor; 1e-3 covers both with room, and is far below what a wrong phase, delay or gain would give.
TEST(AudioEncoder, ResamplingKeepsAToneAndTheLength) {
    constexpr double kPi = 3.14159265358979323846;
    for (double const rate : {44100.0, 8000.0, 48000.0}) {
        Floats tone(static_cast<std::size_t>(rate));
        for (std::size_t i = 0; i < tone.size(); ++i) {
            tone[i] = static_cast<float>(0.5 * std::sin(2 * kPi * 440 * static_cast<double>(i) / rate));
        }
        auto const frames = encode(frames_policy(1, 1), rate, tone, 1000).frames;
        ASSERT_EQ(frames.size(), 16000U) << rate;
        for (std::size_t i = 1000; i < 15000; ++i) {
            ASSERT_NEAR(frames[i], 0.5 * std::sin(2 * kPi * 440 * static_cast<double>(i) / 16000), 1e-3) << rate;
        }
    }
}

TEST(AudioEncoder, SettingsThatMakeNoSenseAreRefused) {
    EXPECT_THROW(AudioEncoder(AudioPolicy{}, 0), Error);
    EXPECT_THROW(AudioEncoder(AudioPolicy{}, std::nan("")), Error);
    EXPECT_THROW(AudioEncoder(frames_policy(0, 1), 16000), Error);
    EXPECT_THROW(AudioEncoder(frames_policy(1, 0), 16000), Error);
    EXPECT_THROW(AudioEncoder(AudioPolicy{}, 1), Error); // one second would become 16000 of them
}

TEST(TakeChannel, MixesOrPicks) {
    Floats const stereo{1, 3, 2, 6, -1, 1};
    View<float const, 1> const view{stereo.data(), 6};
    EXPECT_EQ(take_channel(view, 2, ChannelPolicy::mix, 0), (Floats{2, 4, 0}));
    EXPECT_EQ(take_channel(view, 2, ChannelPolicy::first, 1), (Floats{1, 2, -1}));
    EXPECT_EQ(take_channel(view, 2, ChannelPolicy::each, 1), (Floats{3, 6, 1}));
    EXPECT_THROW(take_channel(view, 4, ChannelPolicy::mix, 0), Error);
    EXPECT_THROW(take_channel(view, 2, ChannelPolicy::each, 2), Error);
}

} // namespace
} // namespace strandwave
