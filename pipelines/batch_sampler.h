#pragma once

#include "lib/train/label_scale.h"
#include "lib/train/objective.h"
#include "lib/train/train_batch.h"
#include "pipelines/audio_augmentation.h"
#include "pipelines/token_targets.h"
#include "pipelines/training_set.h"

#include <cstdint>
#include <vector>

namespace strandwave {

struct BatchOptions {
    Objective objective = Objective::classification;
    std::uint64_t seed = 1;
    index_t batch_size = 32;          ///< records
    index_t batch_tokens = 0;         ///< > 0: positions of a batch, a multiple of `crop`; records do not count then
    index_t crop = 0;                 ///< positions at most of a record; 0: whole records
    bool reverse_complement = false;  ///< every other DNA record, at random, is read from its other strand
    double substitutions = 0;         ///< DNA of pooled objectives: a share, from U(0, this) for each record, of bases
                                      ///< is replaced by others
    double mask_share = 0.15;         ///< masked_token
    double label_smoothing = 0;       ///< e: targets (1 - e) onehot + e / classes
    std::vector<float> class_weights; ///< factors of the targets, one a class; empty: 1
    LabelScale label_scale;           ///< regression
    AudioAugmentation audio;
    index_t max_length = 0; ///< evaluation: longer records give their middle; 0: whole
};

/// Cuts batches from the examples of a set. All is const and safe to call from several threads: a batch is a function
/// of set, examples, options and its number alone, so that training resumes at step k by asking for batch k.
///
/// Training draws items from one endless stream, of which batch k has those from k * n on; n = batch_size, or
/// batch_tokens / crop. Item i is the same for any n, so accumulated or distributed parts of a batch are batches of
/// smaller samplers.
/// - By records: items are the examples in an order shuffled anew for each epoch; batches may span two epochs. A record
///   longer than `crop` gives a stretch of it, all starts equally likely.
/// - By batch_tokens (objectives of tokens): an item is `crop` positions, of an example drawn with probability
///   proportional to its length; one that is too short is followed by others, cut to what is left, as records of their
///   own. So every batch has batch_tokens positions.
///
/// DNA: with StrandPolicy::reverse_complement the stretch is reversed and complemented before its targets are made.
/// Special tokens, where the preprocessor has them, surround each record of the pooled objectives, on top of `crop`;
/// objectives of tokens go without. Sound: augmented samples (audio_augmentation.h) as mu-law tokens or frames; a
/// recording is cut, moved, played faster, mixed with another such stretch, then gets bands, noise, gain and a gap. A
/// mix with ratio r, from U(0, 1), has targets r * first + (1 - r) * second; what is shorter than the first lies at a
/// random place in it, what is longer gives a stretch.
///
/// pooled_targets: label smoothing, then class weights; regression: the standardised value.
class BatchSampler {
public:
    /// `set` has to outlive the sampler. Throws invalid_argument: no examples, options that are out of range or do not
    /// go with the set (masked tokens of sound, tokens of frames, classes of a set without, mixing without classes).
    BatchSampler(TrainingSet const& set, std::vector<index_t> examples, BatchOptions options);

    /// Batch `step`, from 0. `batch` is cleared and its memory reused.
    void make(index_t step, TrainBatch& batch) const;

    /// The next batch of an evaluation, from examples()[first] on: in order, nothing at random but masks (which are
    /// the example's own), records whole or the middle `max_length` positions of them. Holds batch_size records, fewer
    /// where they would have more than batch_tokens positions (if set) together, at least one. Returns how many; 0 at
    /// the end.
    index_t make_evaluation(index_t first, TrainBatch& batch) const;

    std::vector<index_t> const& examples() const noexcept { return examples_; }
    index_t positions() const noexcept { return ends_.back(); } ///< of all examples together
    index_t steps_per_epoch() const noexcept; ///< rounded up; of batch_tokens, until all positions could have been seen
    index_t targets_per_record() const noexcept; ///< width of pooled_targets; 0 for objectives of tokens

private:
    /// Sound while it is being changed.
    struct Scratch {
        std::vector<float> wave, other;
    };

    void check() const;
    index_t position_count(index_t example) const;
    index_t shuffled(index_t item) const;
    index_t drawn_by_length(Random& random) const;
    index_t drawn_from_another_class(index_t example, Random& random) const;

    void add_training(index_t example, index_t most, Random& random, Scratch& scratch, TrainBatch& batch) const;
    void add_evaluation(index_t example, index_t count, TrainBatch& batch) const;

    // batch_sampler_records.cpp
    bool reads_frames() const noexcept;
    index_t span_of(index_t positions) const noexcept; ///< samples; of sound
    void add_tokens(index_t example, index_t begin, index_t count, bool reverse, TrainBatch& batch) const;
    void add_sound(View<float const, 1> samples, TrainBatch& batch) const;
    void add_token_targets(Random& random, TrainBatch& batch) const;
    void add_pooled_targets(TrainBatch& batch) const;
    void add_share(index_t example, double share, TrainBatch& batch) const;
    void cut_sound(index_t example, index_t most, Random& random, std::vector<float>& wave) const;
    void mix_in(index_t other, double ratio, Random& random, Scratch& scratch) const;
    void change_sound(Random& random, std::vector<float>& wave) const;

    TrainingSet const& set_;
    std::vector<index_t> examples_;
    BatchOptions options_;
    TokenAlphabet alphabet_;
    std::vector<std::int32_t> complement_, prefix_, suffix_;
    std::vector<index_t> ends_;                  ///< running sum of the examples' positions
    std::vector<std::vector<index_t>> by_class_; ///< examples of each class; empty unless they are mixed
};

} // namespace strandwave
