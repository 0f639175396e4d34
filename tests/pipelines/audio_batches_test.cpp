#include "pipelines/batch_sampler.h"

#include "tests/pipelines/training_support.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace strandwave {
namespace {

using Samples = std::vector<float>;

Samples some_noise(index_t count, std::uint64_t seed = 1) {
    Random random(seed);
    Samples samples;
    for (index_t i = 0; i < count; ++i) {
        samples.push_back(static_cast<float>(random.uniform(-0.5, 0.5)));
    }
    return samples;
}

View<float, 1> view(Samples& samples) { return {samples.data(), static_cast<index_t>(samples.size())}; }

double power(Samples const& samples) {
    double const sum = std::inner_product(samples.begin(), samples.end(), samples.begin(), 0.0);
    return sum / static_cast<double>(samples.size());
}

Samples stored(TrainingSet const& set, index_t example) {
    auto const samples = set.samples(example);
    return {samples.data, samples.data + samples.size};
}

TEST(AudioAugmentation, FramesAreThoseOfTheEncoder) {
    for (index_t const length : {1, 3, 16}) {
        for (index_t const hop : {1, 2, 3, 16, 20}) {
            for (index_t count = 0; count < 60; ++count) {
                auto samples = some_noise(count);
                AudioEncoder encoder({.encoding = AudioEncoding::frames, .frame_length = length, .frame_hop = hop},
                                     16000);
                std::vector<std::int32_t> none;
                Samples expected, frames;
                encoder.encode(view(samples), none, expected);
                encoder.finish(none, expected);
                append_frames(view(samples), length, hop, frames);
                ASSERT_EQ(frames, expected) << length << ' ' << hop << ' ' << count;
                ASSERT_EQ(frame_count(count, length, hop) * length, static_cast<index_t>(expected.size()));
            }
        }
    }
}

TEST(AudioAugmentation, ResamplesAndFillsWithZeros) {
    Samples samples = {1, 2, 4};
    Samples out(5);
    resample_linear(view(samples), -1, 1, view(out));
    EXPECT_EQ(out, (Samples{0, 1, 2, 4, 0}));
    resample_linear(view(samples), 7, 1, view(out));
    EXPECT_EQ(out, (Samples{0, 0, 0, 0, 0}));
    resample_linear(view(samples), -9, 1, view(out));
    EXPECT_EQ(out, (Samples{0, 0, 0, 0, 0}));
    resample_linear(view(samples), 0, 0.5, view(out));
    EXPECT_EQ(out, (Samples{1, 1.5F, 2, 3, 4}));
    resample_linear(view(samples), -0.5, 1, view(out));
    EXPECT_EQ(out, (Samples{0.5F, 1.5F, 3, 2, 0}));
}

TEST(AudioAugmentation, NoiseHasItsPowerAndNoMean) {
    auto const clean = some_noise(100000);
    for (double const snr_db : {0.0, 20.0}) {
        auto noisy = clean;
        Random random(3);
        add_noise(view(noisy), snr_db, random);
        Samples noise;
        std::transform(noisy.begin(), noisy.end(), clean.begin(), std::back_inserter(noise), std::minus<>());
        double const expected = power(clean) * std::pow(10.0, -snr_db / 10);
        // A mean square of n numbers with kurtosis 2.7 deviates by sqrt(1.7 / n) of itself, a mean by sqrt(1 / n).
        EXPECT_NEAR(power(noise), expected, 5 * expected * std::sqrt(1.7 / 1e5));
        EXPECT_NEAR(std::accumulate(noise.begin(), noise.end(), 0.0) / 1e5, 0, 5 * std::sqrt(expected / 1e5));
    }
    Samples silence(10, 0.0F);
    Random random(3);
    add_noise(view(silence), 0, random);
    EXPECT_EQ(silence, Samples(10, 0.0F));
}

TEST(AudioAugmentation, MixesByWhatIsHeard) {
    auto const mixed = [](Samples first, Samples second, double ratio) {
        mix_sounds(view(first), view(second), ratio, 4);
        return first;
    };
    Samples const a = {1, -1, 1, -1, 0, 0, 0, 0}; // the loudest window counts: 1
    Samples const b = {0, 0, 0, 0, 2, 2, -2, -2}; // 2
    // p = 1 / (1 + 1/2 (1 - r) / r); r = 1/2: p = 2/3, and the weights 2/sqrt(5), 1/sqrt(5).
    auto const half = mixed(a, b, 0.5);
    EXPECT_FLOAT_EQ(half[0], static_cast<float>(2 / std::sqrt(5.0)));
    EXPECT_FLOAT_EQ(half[7], static_cast<float>(-2 / std::sqrt(5.0)));
    EXPECT_EQ(mixed(a, b, 1), a);
    EXPECT_EQ(mixed(a, b, 0), b);
    for (float const sample : mixed(Samples(8, 0.0F), Samples(8, 0.0F), 0.3)) {
        EXPECT_EQ(sample, 0);
    }
}

/// The response of the filter to a sine, from its second half, by the cookbook: gain_db at the centre, none far away.
TEST(AudioAugmentation, ABandIsLouderAndTheRestIsNot) {
    auto const gain_at = [](double frequency, double gain_db) {
        Samples wave;
        for (index_t i = 0; i < 20000; ++i) {
            wave.push_back(static_cast<float>(std::sin(6.283185307179586 * frequency * static_cast<double>(i))));
        }
        auto changed = wave;
        equalise(view(changed), 0.1, 2, gain_db);
        wave.erase(wave.begin(), wave.begin() + 10000);
        changed.erase(changed.begin(), changed.begin() + 10000);
        return 10 * std::log10(power(changed) / power(wave));
    };
    for (double const gain_db : {-9.0, 6.0}) {
        EXPECT_NEAR(gain_at(0.1, gain_db), gain_db, 0.01);
        EXPECT_NEAR(gain_at(0.001, gain_db), 0, 0.02);
        EXPECT_NEAR(gain_at(0.499, gain_db), 0, 0.02);
        EXPECT_GT(std::abs(gain_at(0.09, gain_db)), 3);
    }
}

class AudioBatches : public testing::Test, public TrainingFiles {
protected:
    /// Recordings of these lengths, each a class of its own.
    TrainingSet sounds(std::vector<index_t> const& lengths, PreprocessorConfig const& preprocessor) {
        options.source.preprocessor = preprocessor;
        options.source.frame_length =
            preprocessor.audio.encoding == AudioEncoding::frames ? preprocessor.audio.frame_length : 0;
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            write(std::to_string(i) + "_.wav", wav(lengths[i], 1, 8000));
        }
        return read("file");
    }
    /// One record, as samples: frames of one.
    Samples made(TrainingSet const& set, index_t step) {
        options_.batch_size = 1;
        BatchSampler(set, {0}, options_).make(step, batch_);
        return batch_.frames;
    }

    BatchOptions options_;
    TrainBatch batch_;
};

TEST_F(AudioBatches, WithoutAugmentationTheModelReadsWhatTheEncoderMakes) {
    for (auto const& preprocessor : {sound_preprocessor(), frame_preprocessor(16, 12)}) {
        files.clear();
        auto const set = sounds({1001, 300}, preprocessor);
        BatchSampler const sampler(set, every_example(set), options_);
        EXPECT_EQ(sampler.make_evaluation(0, batch_), 2);
        std::vector<std::int32_t> tokens;
        Samples frames;
        for (index_t i = 0; i < 2; ++i) {
            AudioEncoder encoder(preprocessor.audio, 8000);
            auto samples = stored(set, i);
            encoder.encode(view(samples), tokens, frames);
            encoder.finish(tokens, frames);
        }
        EXPECT_EQ(batch_.tokens, tokens);
        EXPECT_EQ(batch_.frames, frames);
        EXPECT_EQ(batch_.positions(), sampler.positions());
        EXPECT_EQ(batch_.pooled_targets, (Samples{1, 0, 0, 1}));
        sampler.make(0, batch_);
        EXPECT_EQ(batch_.positions(), 16 * sampler.positions()) << "32 records, each of the two 16 times";
    }
}

TEST_F(AudioBatches, CropsAreStretchesOfTheRecording) {
    auto const set = sounds({1000}, frame_preprocessor(16, 8));
    auto const whole = stored(set, 0);
    options_.crop = 5;
    for (index_t step = 0; step < 50; ++step) {
        auto const frames = made(set, step);
        ASSERT_EQ(batch_.lengths, (std::vector<index_t>{5}));
        ASSERT_EQ(frames.size(), 80U);
        Samples stretch(frames.begin(), frames.begin() + 16);
        for (std::size_t i = 1; i < 5; ++i) {
            auto const at = frames.begin() + static_cast<index_t>(16 * i);
            stretch.insert(stretch.end(), at + 8, at + 16);
        }
        ASSERT_NE(std::search(whole.begin(), whole.end(), stretch.begin(), stretch.end()), whole.end());
    }
    options_.max_length = 5;
    BatchSampler(set, {0}, options_).make_evaluation(0, batch_);
    EXPECT_EQ(Samples(batch_.frames.begin(), batch_.frames.begin() + 16),
              Samples(whole.begin() + 476, whole.begin() + 492))
        << "(1000 - 48) / 2";
}

TEST_F(AudioBatches, GainShiftAndSpeedStayInTheirRanges) {
    auto const set = sounds({4000}, frame_preprocessor(1, 1));
    auto const whole = stored(set, 0);
    options_.audio.gain_db = 6;
    for (index_t step = 0; step < 20; ++step) {
        double const change = 10 * std::log10(power(made(set, step)) / power(whole));
        EXPECT_LE(std::abs(change), 6.001);
    }
    options_.audio = {};
    options_.audio.shift_s = 0.01;
    for (index_t step = 0; step < 20; ++step) {
        auto const moved = made(set, step);
        ASSERT_EQ(moved.size(), whole.size());
        ASSERT_NE(std::search(moved.begin(), moved.end(), whole.begin() + 80, whole.end() - 80), moved.end());
    }
    options_.audio = {};
    options_.audio.speed = 0.2;
    double shortest = 1e9, longest = 0;
    for (index_t step = 0; step < 100; ++step) {
        auto const size = static_cast<double>(made(set, step).size());
        EXPECT_GE(size, std::floor(4000 / 1.2));
        EXPECT_LE(size, 4000 / 0.8);
        shortest = std::min(shortest, size);
        longest = std::max(longest, size);
    }
    EXPECT_LT(shortest, 3600);
    EXPECT_GT(longest, 4600);
}

TEST_F(AudioBatches, AGapIsOneStretchAndTheRestStays) {
    auto const set = sounds({4000}, frame_preprocessor(1, 1));
    auto const whole = stored(set, 0);
    options_.audio.cutout = 0.3;
    std::size_t largest = 0;
    for (index_t step = 0; step < 30; ++step) {
        auto const made_now = made(set, step);
        auto const same = [](float a, float b) { return a == b; };
        auto const front = std::mismatch(whole.begin(), whole.end(), made_now.begin(), same).first - whole.begin();
        auto const back = std::mismatch(whole.rbegin(), whole.rend(), made_now.rbegin(), same).first - whole.rbegin();
        auto const gap = std::max<std::ptrdiff_t>(0, static_cast<std::ptrdiff_t>(whole.size()) - front - back);
        EXPECT_TRUE(
            std::all_of(made_now.begin() + front, made_now.begin() + front + gap, [](float x) { return x == 0; }));
        EXPECT_LE(gap, 1200);
        largest = std::max(largest, static_cast<std::size_t>(gap));
    }
    EXPECT_GT(largest, 900U); // of 30 draws from U(0, 1200) one is above with probability 1 - 0.75^30
}

TEST_F(AudioBatches, MixedTargetsAreSharesOfTwoClasses) {
    auto const set = sounds({4000, 3000, 5000}, frame_preprocessor(16, 16));
    options_.audio.mix_probability = 1;
    options_.label_smoothing = 0;
    options_.class_weights = {1, 2, 4};
    BatchSampler const sampler(set, every_example(set), options_);
    sampler.make(0, batch_);
    std::vector<double> const weights = {1, 2, 4};
    bool differs = false;
    for (index_t i = 0; i < batch_.records(); ++i) {
        float const* row = batch_.pooled_targets.data() + 3 * i;
        double sum = 0;
        int used = 0;
        for (std::size_t k = 0; k < 3; ++k) {
            sum += static_cast<double>(row[k]) / weights[k];
            used += row[k] > 0 ? 1 : 0;
        }
        EXPECT_NEAR(sum, 1, 1e-6);
        EXPECT_EQ(used, 2);
        auto const example = batch_.examples[static_cast<std::size_t>(i)];
        EXPECT_GT(row[example], 0);
        differs = differs || row[example] < weights[static_cast<std::size_t>(example)] / 2;
        EXPECT_EQ(batch_.lengths[static_cast<std::size_t>(i)], (set[example].length + 15) / 16);
    }
    EXPECT_TRUE(differs);
    EXPECT_THROW(BatchSampler(set, {0}, options_), Error) << "one class only";
}

TEST_F(AudioBatches, AugmentedBatchesAreFunctionsOfTheirNumber) {
    auto const set = sounds({4000, 3000, 5000}, frame_preprocessor(16, 8));
    options_.crop = 100;
    options_.audio = {6, 0.5, 10, 40, 0.05, 0.2, 0.5, 6, 0.3};
    BatchSampler const sampler(set, every_example(set), options_);
    TrainBatch again;
    sampler.make(3, batch_);
    sampler.make(7, again);
    sampler.make(3, again);
    EXPECT_EQ(batch_.frames, again.frames);
    EXPECT_EQ(batch_.pooled_targets, again.pooled_targets);
    for (float const sample : batch_.frames) {
        ASSERT_TRUE(std::isfinite(sample));
    }
}

TEST_F(AudioBatches, RefusesObjectivesThatSoundCannotHave) {
    auto const frames = sounds({100, 100}, frame_preprocessor(16, 8));
    options_.objective = Objective::next_token;
    EXPECT_THROW(BatchSampler(frames, {0}, options_), Error);
    options_.objective = Objective::classification;
    options_.reverse_complement = true;
    EXPECT_THROW(BatchSampler(frames, {0}, options_), Error);
    files.clear();
    auto const tokens = sounds({100, 100}, sound_preprocessor());
    options_.reverse_complement = false;
    options_.objective = Objective::masked_token;
    EXPECT_THROW(BatchSampler(tokens, {0}, options_), Error);
    options_.objective = Objective::next_token;
    EXPECT_EQ(BatchSampler(tokens, {0}, options_).make_evaluation(0, batch_), 1);
    EXPECT_EQ(batch_.token_targets.back(), -1);
    EXPECT_EQ(batch_.token_targets.front(), batch_.tokens[1]);
}

} // namespace
} // namespace strandwave
