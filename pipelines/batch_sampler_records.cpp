// What becomes of one record of a batch: its positions and its targets.

#include "lib/encode/audio_encoder.h"
#include "pipelines/batch_sampler.h"

#include <algorithm>
#include <cmath>

namespace strandwave {

bool BatchSampler::reads_frames() const noexcept {
    return !set_.is_dna() && set_.preprocessor().audio.encoding == AudioEncoding::frames;
}

index_t BatchSampler::span_of(index_t positions) const noexcept {
    auto const& audio = set_.preprocessor().audio;
    return reads_frames() && positions > 0 ? frame_span(positions, audio.frame_length, audio.frame_hop) : positions;
}

void BatchSampler::add_tokens(index_t example, index_t begin, index_t count, bool reverse, TrainBatch& batch) const {
    auto& tokens = batch.tokens;
    tokens.insert(tokens.end(), prefix_.begin(), prefix_.end());
    auto const at = tokens.size();
    tokens.resize(at + static_cast<std::size_t>(count));
    std::uint8_t const* const from = set_.tokens(example).data + begin;
    std::int32_t* const to = tokens.data() + at;
    if (reverse) {
        for (index_t i = 0; i < count; ++i) {
            to[i] = complement_[from[count - 1 - i]];
        }
    } else {
        std::copy_n(from, count, to);
    }
    tokens.insert(tokens.end(), suffix_.begin(), suffix_.end());
    batch.lengths.push_back(count + static_cast<index_t>(prefix_.size() + suffix_.size()));
}

void BatchSampler::add_sound(View<float const, 1> samples, TrainBatch& batch) const {
    auto const& audio = set_.preprocessor().audio;
    if (reads_frames()) {
        append_frames(samples, audio.frame_length, audio.frame_hop, batch.frames);
        batch.lengths.push_back(frame_count(samples.size, audio.frame_length, audio.frame_hop));
    } else {
        std::transform(samples.data, samples.data + samples.size, std::back_inserter(batch.tokens), mulaw_token);
        batch.lengths.push_back(samples.size);
    }
}

/// Of the record that was added last.
void BatchSampler::add_token_targets(Random& random, TrainBatch& batch) const {
    index_t const count = batch.lengths.back();
    batch.token_targets.resize(batch.tokens.size());
    auto const at = batch.tokens.size() - static_cast<std::size_t>(count);
    View<std::int32_t, 1> const tokens{batch.tokens.data() + at, count};
    View<std::int32_t, 1> const targets{batch.token_targets.data() + at, count};
    if (options_.objective == Objective::masked_token) {
        mask_tokens(alphabet_, options_.mask_share, random, tokens, targets);
    } else {
        next_token_targets(alphabet_, tokens, targets);
    }
}

/// A row of zeros, for shares to be added.
void BatchSampler::add_pooled_targets(TrainBatch& batch) const {
    batch.pooled_targets.resize(batch.pooled_targets.size() + static_cast<std::size_t>(targets_per_record()));
}

/// Adds `share` of the targets of an example to the last row.
void BatchSampler::add_share(index_t example, double share, TrainBatch& batch) const {
    index_t const width = targets_per_record();
    float* const row = batch.pooled_targets.data() + batch.pooled_targets.size() - width;
    if (options_.objective == Objective::regression) {
        row[0] +=
            static_cast<float>(share * options_.label_scale.standardised(static_cast<double>(set_[example].value)));
        return;
    }
    index_t const label = set_[example].label;
    auto const& weights = options_.class_weights;
    double const weight =
        share * (weights.empty() ? 1.0 : static_cast<double>(weights[static_cast<std::size_t>(label)]));
    double const smoothing = options_.label_smoothing;
    for (index_t k = 0; k < width; ++k) {
        double const target = smoothing / static_cast<double>(width) + (k == label ? 1 - smoothing : 0);
        row[k] += static_cast<float>(weight * target);
    }
}

/// At most `most` samples (0: all), moved and played faster as the options say.
void BatchSampler::cut_sound(index_t example, index_t most, Random& random, std::vector<float>& wave) const {
    auto const& audio = options_.audio;
    auto const samples = set_.samples(example);
    double const step = audio.speed > 0 ? random.uniform(1 - audio.speed, 1 + audio.speed) : 1;
    auto const whole = std::max<index_t>(static_cast<index_t>(static_cast<double>(samples.size) / step), 1);
    index_t const count = most > 0 ? std::min(most, whole) : whole;
    auto const spare = samples.size - static_cast<index_t>(std::ceil(static_cast<double>(count) * step));
    auto begin = spare > 0 ? static_cast<index_t>(random.below(static_cast<std::uint64_t>(spare) + 1)) : 0;
    if (audio.shift_s > 0) {
        double const shift = random.uniform(-audio.shift_s, audio.shift_s);
        begin += std::llround(shift * set_.preprocessor().audio.sampling_rate_hz);
    }
    wave.resize(static_cast<std::size_t>(count));
    resample_linear(samples, static_cast<double>(begin), step, {wave.data(), count});
}

void BatchSampler::mix_in(index_t other, double ratio, Random& random, Scratch& scratch) const {
    constexpr double kLoudnessWindow = 0.1; // seconds, as in the paper
    auto const size = scratch.wave.size();
    cut_sound(other, static_cast<index_t>(size), random, scratch.other);
    auto const before = static_cast<std::size_t>(random.below(size - scratch.other.size() + 1));
    scratch.other.insert(scratch.other.begin(), before, 0.0F);
    scratch.other.resize(size);
    auto const window = static_cast<index_t>(kLoudnessWindow * set_.preprocessor().audio.sampling_rate_hz);
    mix_sounds({scratch.wave.data(), static_cast<index_t>(size)}, {scratch.other.data(), static_cast<index_t>(size)},
               ratio, std::max<index_t>(window, 1));
}

/// Bands, noise, gain and a gap.
void BatchSampler::change_sound(Random& random, std::vector<float>& wave) const {
    auto const& audio = options_.audio;
    constexpr int kBands = 3;
    for (int band = 0; band < kBands && audio.equalise_db > 0; ++band) {
        double const centre = std::exp(random.uniform(std::log(0.01), std::log(0.45)));
        double const q = random.uniform(0.5, 2.0);
        double const gain_db = random.uniform(-audio.equalise_db, audio.equalise_db);
        equalise({wave.data(), static_cast<index_t>(wave.size())}, centre, q, gain_db);
    }
    if (audio.noise_probability > 0 && random.uniform() < audio.noise_probability) {
        double const snr_db = random.uniform(audio.noise_low_db, audio.noise_high_db);
        add_noise({wave.data(), static_cast<index_t>(wave.size())}, snr_db, random);
    }
    if (audio.gain_db > 0) {
        auto const gain = static_cast<float>(std::pow(10.0, random.uniform(-audio.gain_db, audio.gain_db) / 20));
        for (float& sample : wave) {
            sample *= gain;
        }
    }
    if (audio.cutout > 0) {
        auto const size = static_cast<double>(wave.size());
        auto const gap = static_cast<std::size_t>(random.uniform(0.0, audio.cutout) * size);
        auto const begin = static_cast<std::ptrdiff_t>(random.below(wave.size() - gap + 1));
        std::fill_n(wave.begin() + begin, gap, 0.0F);
    }
}

} // namespace strandwave
