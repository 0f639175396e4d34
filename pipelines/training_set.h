#pragma once

#include "pipelines/record_labels.h"
#include "pipelines/record_source.h"
#include "pipelines/unit_runner.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace strandwave {

/// What a model learns of a record beside its own symbols.
enum class TargetKind : std::uint8_t { none, classes, values };

/// One unit of a RecordSource (a record, or a window of one) in memory.
struct TrainingExample {
    std::string name;
    index_t file = 0;        ///< index into TrainingSet::files
    index_t record = 0;      ///< of the run; windows of a record share it
    index_t start = 0;       ///< in its record: bases, or samples of the source
    index_t offset = 0;      ///< into the storage
    index_t length = 0;      ///< tokens, or samples at the model's rate; >= 1
    std::int32_t label = -1; ///< index into TrainingSet::classes
    float value = 0;         ///< TargetKind::values
};

struct TrainingSetOptions {
    RecordSourceOptions source;          ///< whole_units, in_memory, max_unit_symbols do not matter
    LabelSource const* labels = nullptr; ///< needed unless target is none
    TargetKind target = TargetKind::none;
    std::vector<std::string> classes; ///< in the order of a model's outputs; empty: those found, by byte order
    index_t max_bytes = 0;            ///< of the storage; 0: what is available
    std::function<void(UnitFailure const&)> failure; ///< called for each record or file that cannot be used
};

/// What became of the records.
struct TrainingSetReport {
    SourceCounts source;
    index_t failed = 0;      ///< units and files, each given to `failure`
    index_t no_position = 0; ///< units without any position after encoding: left out
    index_t unlabelled = 0;  ///< units that LabelSource knows nothing of: left out
    std::string first_unlabelled;
    index_t broken_files = 0; ///< among `failed`: the rest of these files, or all of them, was not read
    std::string first_broken;
};

/// All records of some files in memory, as what batches are cut from: DNA as token ids, one byte a base, encoded by the
/// preprocessor's policies; sound as mono samples at the model's rate, before they become tokens or frames.
///
/// Special tokens are not stored: who makes batches adds them. Of StrandPolicy::both the forward strand is stored.
/// A record whose class is not among the given `classes`, or whose label is no number (values), is a failure.
class TrainingSet {
public:
    /// Reads all files. Throws what RecordSource throws; invalid_argument (labels missing, a class twice); too_large
    /// where the storage would exceed max_bytes or the available memory, before it takes it.
    TrainingSet(std::vector<std::filesystem::path> const& files, TrainingSetOptions const& options);

    std::vector<TrainingExample> const& examples() const noexcept { return examples_; }
    index_t size() const noexcept { return static_cast<index_t>(examples_.size()); }
    TrainingExample const& operator[](index_t example) const { return examples_[static_cast<std::size_t>(example)]; }

    View<std::uint8_t const, 1> tokens(index_t example) const noexcept; ///< of DNA
    View<float const, 1> samples(index_t example) const noexcept;       ///< of sound

    bool is_dna() const noexcept { return preprocessor_.input == InputKind::dna; }
    PreprocessorConfig const& preprocessor() const noexcept { return preprocessor_; }
    TargetKind target() const noexcept { return target_; }
    std::vector<std::string> const& classes() const noexcept { return classes_; }
    std::vector<std::filesystem::path> const& files() const noexcept { return files_; }
    TrainingSetReport const& report() const noexcept { return report_; }
    index_t bytes() const noexcept; ///< of the storage
    /// Of names, targets and symbols of all examples, in their order: another one if any of it has changed.
    std::uint64_t hash() const noexcept;

private:
    class Reader;

    PreprocessorConfig preprocessor_;
    TargetKind target_;
    std::vector<std::filesystem::path> files_;
    std::vector<std::string> classes_;
    std::vector<TrainingExample> examples_;
    std::vector<std::uint8_t> tokens_;
    std::vector<float> samples_;
    TrainingSetReport report_;
};

} // namespace strandwave
