#include "pipelines/audio_augmentation.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace strandwave {
namespace {

double mean_square(View<float const, 1> samples) noexcept {
    double sum = 0;
    for (index_t i = 0; i < samples.size; ++i) {
        sum += static_cast<double>(samples(i)) * samples(i);
    }
    return samples.empty() ? 0 : sum / static_cast<double>(samples.size);
}

/// Root mean square of the loudest window, -100 dB of full scale at least, so that silence has a level.
double loudness(View<float const, 1> samples, index_t window) noexcept {
    constexpr double kSilence = 1e-5;
    double loudest = kSilence * kSilence;
    for (index_t begin = 0; begin < samples.size; begin += window) {
        index_t const size = std::min(window, samples.size - begin);
        loudest = std::max(loudest, mean_square({samples.data + begin, size}));
    }
    return std::sqrt(loudest);
}

/// One position: between two samples, or 0 for the one that is not there.
float interpolate(View<float const, 1> samples, double position) noexcept {
    double const below = std::floor(position);
    auto const i = static_cast<index_t>(below);
    auto const weight = static_cast<float>(position - below);
    auto const at = [&](index_t k) { return k >= 0 && k < samples.size ? samples(k) : 0.0F; };
    return at(i) + weight * (at(i + 1) - at(i));
}

} // namespace

index_t frame_count(index_t samples, index_t length, index_t hop) noexcept {
    index_t const full = samples >= length ? (samples - length) / hop + 1 : 0;
    index_t const covered = full > 0 ? std::max<index_t>(length - hop, 0) : 0; // of the next frame, by the last
    return full + (samples - full * hop > covered ? 1 : 0);
}

void append_frames(View<float const, 1> samples, index_t length, index_t hop, std::vector<float>& frames) {
    index_t const count = frame_count(samples.size, length, hop);
    auto const before = frames.size();
    frames.resize(before + static_cast<std::size_t>(count * length));
    float* out = frames.data() + before;
    for (index_t i = 0; i < count; ++i, out += length) {
        index_t const here = std::min(length, samples.size - i * hop);
        std::copy_n(samples.data + i * hop, here, out);
        std::fill(out + here, out + length, 0.0F);
    }
}

void resample_linear(View<float const, 1> samples, double begin, double step, View<float, 1> out) noexcept {
    if (step == 1 && begin == std::floor(begin)) {
        auto const first = static_cast<index_t>(begin);
        index_t const from = std::clamp<index_t>(-first, 0, out.size);
        index_t const to = std::clamp<index_t>(samples.size - first, from, out.size);
        std::fill(out.data, out.data + from, 0.0F);
        std::copy(samples.data + first + from, samples.data + first + to, out.data + from);
        std::fill(out.data + to, out.data + out.size, 0.0F);
        return;
    }
    // Between the first and the last sample neither a look at the ends nor a floor is needed.
    auto const last = static_cast<double>(samples.size - 1);
    for (index_t i = 0; i < out.size; ++i) {
        double const position = begin + static_cast<double>(i) * step;
        if (position >= 0 && position < last) {
            auto const k = static_cast<index_t>(position);
            auto const weight = static_cast<float>(position - static_cast<double>(k));
            out(i) = samples(k) + weight * (samples(k + 1) - samples(k));
        } else {
            out(i) = interpolate(samples, position);
        }
    }
}

void add_noise(View<float, 1> samples, double snr_db, Random& random) noexcept {
    // Four numbers of 16 bits: their sum has mean 2 (2^16 - 1) and variance (2^32 - 1) / 3.
    constexpr std::int32_t kMean = 131070;
    constexpr double kDeviation = 37837.22724; // sqrt((2^32 - 1) / 3)
    auto const scale = static_cast<float>(std::sqrt(mean_square(samples)) * std::pow(10.0, -snr_db / 20) / kDeviation);
    for (index_t i = 0; i < samples.size; ++i) {
        std::uint64_t const draw = random.bits();
        auto const sum = static_cast<std::int32_t>((draw & 0xffffU) + (draw >> 16 & 0xffffU) + (draw >> 32 & 0xffffU) +
                                                   (draw >> 48));
        samples(i) += scale * static_cast<float>(sum - kMean);
    }
}

void equalise(View<float, 1> samples, double centre, double q, double gain_db) noexcept {
    double const a = std::pow(10.0, gain_db / 40);
    double const w = 2 * std::numbers::pi * centre;
    double const alpha = std::sin(w) / (2 * q);
    double const norm = 1 / (1 + alpha / a);
    double const b0 = (1 + alpha * a) * norm;
    double const b1 = -2 * std::cos(w) * norm; // a1 is the same
    double const b2 = (1 - alpha * a) * norm;
    double const a2 = (1 - alpha / a) * norm;
    double before = 0; // the transposed direct form's two numbers of state
    double before2 = 0;
    for (index_t i = 0; i < samples.size; ++i) {
        auto const x = static_cast<double>(samples(i));
        double const y = b0 * x + before;
        before = b1 * (x - y) + before2;
        before2 = b2 * x - a2 * y;
        samples(i) = static_cast<float>(y);
    }
}

void mix_sounds(View<float, 1> first, View<float const, 1> second, double ratio, index_t window) noexcept {
    double const louder = loudness(first, window) / loudness(second, window);
    double const p = 1 / (1 + louder * (1 - ratio) / ratio);
    double const norm = std::sqrt(p * p + (1 - p) * (1 - p));
    auto const a = static_cast<float>(p / norm);
    auto const b = static_cast<float>((1 - p) / norm);
    for (index_t i = 0; i < first.size; ++i) {
        first(i) = a * first(i) + b * second(i);
    }
}

} // namespace strandwave
