#include "pipelines/batch_sampler.h"

#include "lib/core/error.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace strandwave {
namespace {

constexpr std::uint64_t kTraining = 1, kShuffle = 2, kEvaluation = 3;

/// The start of a series of its own for every (purpose, index): SplitMix64 of neighbouring seeds would give the same
/// numbers one step apart, its outputs are far from each other.
Random series(std::uint64_t seed, std::uint64_t purpose, index_t index) {
    std::uint64_t const base = Random(Random(seed).bits() + purpose).bits();
    return Random(Random(base + static_cast<std::uint64_t>(index)).bits());
}

/// Place `index` of a permutation of [0, n) that `key` picks: a Feistel network over the next larger power of 4 (Luby &
/// Rackoff 1988), walked on until it falls below n (Black & Rogaway 2002). Needs no memory, unlike a list.
index_t permuted(index_t index, index_t n, std::uint64_t key) {
    constexpr unsigned kRounds = 6;
    auto const half = static_cast<unsigned>(std::bit_width(static_cast<std::uint64_t>(n - 1)) + 1) / 2;
    std::uint64_t const mask = (std::uint64_t{1} << half) - 1;
    auto value = static_cast<std::uint64_t>(index);
    do {
        std::uint64_t left = value >> half;
        std::uint64_t right = value & mask;
        for (unsigned round = 0; round < kRounds; ++round) {
            std::uint64_t const next = left ^ (Random(key + (right << 3U) + round).bits() & mask);
            left = right;
            right = next;
        }
        value = left << half | right;
    } while (value >= static_cast<std::uint64_t>(n));
    return static_cast<index_t>(value);
}

} // namespace

BatchSampler::BatchSampler(TrainingSet const& set, std::vector<index_t> examples, BatchOptions options)
    : set_(set), examples_(std::move(examples)), options_(std::move(options)) {
    check();
    alphabet_ =
        set.is_dna() ? TokenAlphabet::nucleotides(set.preprocessor().nucleotide.vocabulary) : TokenAlphabet::mulaw();
    if (set.is_dna()) {
        NucleotideEncoder const encoder(set.preprocessor().nucleotide);
        complement_ = encoder.complement_map(encoder.vocabulary_size());
        if (set.preprocessor().special_tokens && is_pooled(options_.objective)) {
            prefix_ = encoder.prefix_tokens();
            suffix_ = encoder.suffix_tokens();
        }
    }
    index_t sum = 0;
    for (index_t const example : examples_) {
        ends_.push_back(sum += position_count(example));
    }
    if (options_.audio.mix_probability > 0) {
        by_class_.resize(set.classes().size());
        for (index_t const example : examples_) {
            by_class_[static_cast<std::size_t>(set[example].label)].push_back(example);
        }
        auto const used = [](auto const& list) { return !list.empty(); };
        if (std::count_if(by_class_.begin(), by_class_.end(), used) < 2) {
            throw Error(ErrorCode::invalid_argument, "mixing needs training records of two classes or more");
        }
    }
}

void BatchSampler::check() const {
    auto const require = [](bool held, char const* reason) {
        if (!held) { throw Error(ErrorCode::invalid_argument, reason); }
    };
    auto const share = [](double value) { return value >= 0 && value <= 1; };
    bool const dna = set_.is_dna();
    bool const pooled = is_pooled(options_.objective);
    auto const& audio = options_.audio;
    require(!examples_.empty(), "there are no records to train or evaluate on");
    require(options_.batch_size >= 1, "a batch needs a record or more");
    require(options_.crop >= 0 && options_.max_length >= 0 && options_.batch_tokens >= 0,
            "lengths must not be negative");
    require(options_.batch_tokens == 0 || !pooled, "a batch of so many positions is for token objectives");
    require(options_.batch_tokens == 0 || (options_.crop > 0 && options_.batch_tokens % options_.crop == 0),
            "the positions of a batch must be a multiple of the crop");
    require(pooled || !reads_frames(), "a model of frames cannot be trained to predict tokens");
    require(dna || options_.objective != Objective::masked_token, "masked tokens are for DNA");
    require(dna || !options_.reverse_complement, "sound has no reverse complement");
    require(options_.substitutions == 0 || (dna && pooled), "bases are replaced in DNA, for objectives of records");
    require(options_.objective != Objective::classification || set_.target() == TargetKind::classes,
            "classification needs records with classes");
    require(options_.objective != Objective::regression || set_.target() == TargetKind::values,
            "regression needs records with numbers");
    require(share(options_.mask_share) && share(options_.substitutions) && share(options_.label_smoothing) &&
                share(audio.noise_probability) && share(audio.mix_probability) && share(audio.cutout),
            "shares and probabilities lie between 0 and 1");
    require(options_.class_weights.empty() || options_.class_weights.size() == set_.classes().size(),
            "there must be one class weight for each class");
    require(std::all_of(options_.class_weights.begin(), options_.class_weights.end(),
                        [](float weight) { return std::isfinite(weight) && weight >= 0; }),
            "class weights must be finite and not negative");
    require(audio.mix_probability == 0 || (!dna && options_.objective == Objective::classification),
            "mixing is for classes of sound");
    bool const sounds = audio.gain_db > 0 || audio.noise_probability > 0 || audio.shift_s > 0 || audio.speed > 0 ||
                        audio.equalise_db > 0 || audio.cutout > 0;
    require(!dna || !sounds, "--gain, --noise, --shift, --speed, --equalise and --cutout are for sound");
    require(audio.speed >= 0 && audio.speed < 1 && audio.gain_db >= 0 && audio.shift_s >= 0 && audio.equalise_db >= 0 &&
                audio.noise_low_db <= audio.noise_high_db,
            "ranges of the augmentation must not be negative, and --speed below 1");
}

index_t BatchSampler::position_count(index_t example) const {
    auto const& audio = set_.preprocessor().audio;
    index_t const length = set_[example].length;
    return reads_frames() ? frame_count(length, audio.frame_length, audio.frame_hop) : length;
}

index_t BatchSampler::steps_per_epoch() const noexcept {
    return options_.batch_tokens > 0
               ? (positions() + options_.batch_tokens - 1) / options_.batch_tokens
               : (static_cast<index_t>(examples_.size()) + options_.batch_size - 1) / options_.batch_size;
}

index_t BatchSampler::targets_per_record() const noexcept {
    if (options_.objective == Objective::regression) { return 1; }
    return options_.objective == Objective::classification ? static_cast<index_t>(set_.classes().size()) : 0;
}

index_t BatchSampler::shuffled(index_t item) const {
    auto const n = static_cast<index_t>(examples_.size());
    std::uint64_t const key = series(options_.seed, kShuffle, item / n).bits();
    return examples_[static_cast<std::size_t>(permuted(item % n, n, key))];
}

index_t BatchSampler::drawn_by_length(Random& random) const {
    auto const position = static_cast<index_t>(random.below(static_cast<std::uint64_t>(positions())));
    return examples_[static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), position) - ends_.begin())];
}

index_t BatchSampler::drawn_from_another_class(index_t example, Random& random) const {
    auto const own = static_cast<std::size_t>(set_[example].label);
    auto place = static_cast<std::size_t>(random.below(examples_.size() - by_class_[own].size()));
    for (std::size_t label = 0;; ++label) {
        if (label == own) { continue; }
        if (place < by_class_[label].size()) { return by_class_[label][place]; }
        place -= by_class_[label].size();
    }
}

void BatchSampler::make(index_t step, TrainBatch& batch) const {
    batch.clear();
    Scratch scratch;
    bool const stream = options_.batch_tokens > 0;
    index_t const items = stream ? options_.batch_tokens / options_.crop : options_.batch_size;
    for (index_t item = step * items; item < (step + 1) * items; ++item) {
        Random random = series(options_.seed, kTraining, item);
        if (!stream) {
            add_training(shuffled(item), options_.crop, random, scratch, batch);
            continue;
        }
        for (index_t left = options_.crop; left > 0; left -= batch.lengths.back()) {
            add_training(drawn_by_length(random), left, random, scratch, batch);
        }
    }
}

void BatchSampler::add_training(index_t example, index_t most, Random& random, Scratch& scratch,
                                TrainBatch& batch) const {
    batch.examples.push_back(example);
    index_t other = -1;
    double ratio = 1;
    if (set_.is_dna()) {
        index_t const length = set_[example].length;
        index_t const count = most > 0 ? std::min(most, length) : length;
        auto const begin = static_cast<index_t>(random.below(static_cast<std::uint64_t>(length - count) + 1));
        add_tokens(example, begin, count, options_.reverse_complement && random.bits() >> 63U != 0, batch);
        if (options_.substitutions > 0) {
            View<std::int32_t, 1> const added{batch.tokens.data() + batch.tokens.size() - batch.lengths.back(),
                                              batch.lengths.back()};
            substitute_bases(alphabet_, random.uniform(0, options_.substitutions), random, added);
        }
    } else {
        cut_sound(example, span_of(most), random, scratch.wave);
        if (options_.audio.mix_probability > 0 && random.uniform() < options_.audio.mix_probability) {
            ratio = random.uniform();
            other = drawn_from_another_class(example, random);
            mix_in(other, ratio, random, scratch);
        }
        change_sound(random, scratch.wave);
        add_sound({scratch.wave.data(), static_cast<index_t>(scratch.wave.size())}, batch);
    }
    if (!is_pooled(options_.objective)) { return add_token_targets(random, batch); }
    add_pooled_targets(batch);
    add_share(example, ratio, batch);
    if (other >= 0) { add_share(other, 1 - ratio, batch); }
}

index_t BatchSampler::make_evaluation(index_t first, TrainBatch& batch) const {
    batch.clear();
    index_t const end = std::min(static_cast<index_t>(examples_.size()), first + options_.batch_size);
    index_t taken = 0;
    for (index_t all = 0; first + taken < end; ++taken) {
        index_t const example = examples_[static_cast<std::size_t>(first + taken)];
        index_t const length = position_count(example);
        index_t const count = options_.max_length > 0 ? std::min(options_.max_length, length) : length;
        all += count;
        if (options_.batch_tokens > 0 && all > options_.batch_tokens && taken > 0) { break; }
        add_evaluation(example, count, batch);
    }
    return taken;
}

void BatchSampler::add_evaluation(index_t example, index_t count, TrainBatch& batch) const {
    batch.examples.push_back(example);
    if (set_.is_dna()) {
        add_tokens(example, (set_[example].length - count) / 2, count, false, batch);
    } else {
        auto const samples = set_.samples(example);
        index_t const kept = count == position_count(example) ? samples.size : span_of(count);
        add_sound({samples.data + (samples.size - kept) / 2, kept}, batch);
    }
    if (is_pooled(options_.objective)) {
        add_pooled_targets(batch);
        add_share(example, 1, batch);
    } else {
        Random random = series(options_.seed, kEvaluation, example);
        add_token_targets(random, batch);
    }
}

} // namespace strandwave
