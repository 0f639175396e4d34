#pragma once

#include "apps/train_options.h"
#include "pipelines/data_split.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace strandwave {

/// Where a run's examples come from: files, or a task made by rule.
class TrainingSource {
public:
    virtual ~TrainingSource() = default;
    virtual TrainingData data() const = 0;
    virtual index_t steps_per_epoch() const = 0;
    virtual std::uint64_t hash() const { return 0; }                     ///< of the records; 0: there are none
    virtual std::vector<std::string> classes() const { return {}; }      ///< of a classifier
    virtual std::optional<LabelScale> label_scale() const { return {}; } ///< of numbers
    virtual index_t failed() const { return 0; }                         ///< records and files that could not be read
};

/// Reads the files, splits them and says on stderr what was found. Throws what reading and splitting throw.
std::unique_ptr<TrainingSource> open_files(TrainFlags const& flags, PreprocessorConfig const& preprocessor,
                                           ModelConfig const& model);
std::unique_ptr<TrainingSource> open_synthetic(TrainFlags const& flags, ModelConfig const& model);

} // namespace strandwave
