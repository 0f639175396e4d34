#include "pipelines/training_set.h"

#include "lib/core/error.h"
#include "lib/core/hash.h"
#include "lib/core/memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace strandwave {
namespace {

constexpr index_t kPiecePositions = 1 << 16;
constexpr index_t kFirstBytes = 1 << 20;

/// Room for `more` values. A vector that grows has its old and its new storage for a while; the old one no longer
/// counts as available.
template <class T>
void make_room(std::vector<T>& storage, std::size_t more, index_t max_bytes, Unit const& unit) {
    std::size_t const needed = storage.size() + more;
    if (needed <= storage.capacity()) { return; }
    index_t const limit = max_bytes > 0 ? max_bytes : available_memory_bytes();
    auto const fits = [&](std::size_t values) { return static_cast<index_t>(values * sizeof(T)) <= limit; };
    std::size_t const generous = std::max(needed, storage.size() + storage.size() / 2 + kFirstBytes / sizeof(T));
    if (!fits(needed)) {
        throw Error(ErrorCode::too_large, unit.file + ": record " + unit.name +
                                              ": the examples so far and this one need more than the " +
                                              std::to_string(limit >> 20) +
                                              " MiB of memory that may be taken; train on fewer files or shorter "
                                              "records, or raise --max-memory");
    }
    storage.reserve(fits(generous) ? generous : needed);
}

/// What the storage holds is not what the model reads: no special tokens, no frames, one strand.
RecordSourceOptions storage_options(RecordSourceOptions options) {
    options.whole_units = options.in_memory = false;
    options.max_unit_symbols = 0;
    auto& preprocessor = options.preprocessor;
    preprocessor.special_tokens = false;
    if (preprocessor.strand == StrandPolicy::both) { preprocessor.strand = StrandPolicy::forward; }
    if (preprocessor.input == InputKind::audio) {
        preprocessor.audio.encoding = AudioEncoding::frames;
        preprocessor.audio.frame_length = preprocessor.audio.frame_hop = options.frame_length = 1;
    }
    return options;
}

} // namespace

/// Puts the units of a source into a set.
class TrainingSet::Reader {
public:
    Reader(TrainingSet& set, TrainingSetOptions const& options) : set_(set), options_(options) {
        for (auto const& name : options.classes) {
            if (!known_.emplace(name, static_cast<std::int32_t>(known_.size())).second) {
                throw Error(ErrorCode::invalid_argument, "class '" + name + "' is given twice");
            }
        }
    }

    void read(RecordSource& source) {
        for (UnitPiece piece; source.next(piece, kPiecePositions);) {
            if (piece.failure) {
                fail(piece.unit, *piece.failure, piece.file_broken);
                continue;
            }
            if (piece.first) { begin(piece.unit, source.counts().files_done); }
            if (wanted_) { append(piece); }
            if (wanted_ && piece.last) { end(); }
        }
        set_.report_.source = source.counts();
        if (options_.classes.empty()) { sort_classes(); }
    }

private:
    void begin(Unit const& unit, index_t file) {
        example_ = {.name = unit.name, .file = file, .record = unit.record, .start = unit.start, .offset = stored()};
        wanted_ = options_.target == TargetKind::none || take_label(unit);
    }

    bool take_label(Unit const& unit) {
        auto const label = options_.labels->label(unit);
        if (!label) {
            auto& report = set_.report_;
            if (report.unlabelled++ == 0) { report.first_unlabelled = unit.name; }
            return false;
        }
        if (options_.target == TargetKind::values) {
            auto const value = label_value(*label);
            if (!value || std::abs(*value) > std::numeric_limits<float>::max()) {
                fail(unit, {ErrorCode::malformed_input, unit.file + ": record " + unit.name + ": its label '" + *label +
                                                            "' is not a number" + (value ? " of fp32" : "")});
                return false;
            }
            example_.value = static_cast<float>(*value);
            return true;
        }
        auto const found = known_.find(*label);
        if (found != known_.end()) {
            example_.label = found->second;
        } else if (options_.classes.empty()) {
            example_.label = static_cast<std::int32_t>(known_.size());
            known_.emplace(*label, example_.label);
        } else {
            fail(unit, {ErrorCode::malformed_input, unit.file + ": record " + unit.name + ": its class '" + *label +
                                                        "' is not one of the " + std::to_string(known_.size()) +
                                                        " of the model"});
            return false;
        }
        return true;
    }

    void append(UnitPiece const& piece) {
        if (set_.is_dna()) {
            make_room(set_.tokens_, piece.tokens.size(), options_.max_bytes, piece.unit);
            std::transform(piece.tokens.begin(), piece.tokens.end(), std::back_inserter(set_.tokens_),
                           [](std::int32_t token) { return static_cast<std::uint8_t>(token); });
        } else {
            make_room(set_.samples_, piece.frames.size(), options_.max_bytes, piece.unit);
            set_.samples_.insert(set_.samples_.end(), piece.frames.begin(), piece.frames.end());
        }
    }

    void end() {
        wanted_ = false;
        example_.length = stored() - example_.offset;
        if (example_.length == 0) {
            ++set_.report_.no_position;
            return;
        }
        set_.examples_.push_back(std::move(example_));
    }

    /// What came of the unit before is dropped.
    void fail(Unit const& unit, Error const& error, bool file_broken = false) {
        if (wanted_) {
            auto const kept = static_cast<std::size_t>(example_.offset);
            set_.is_dna() ? set_.tokens_.resize(kept) : set_.samples_.resize(kept);
        }
        wanted_ = false;
        ++set_.report_.failed;
        if (file_broken && set_.report_.broken_files++ == 0) { set_.report_.first_broken = unit.file; }
        if (options_.failure) { options_.failure({unit, error, file_broken}); }
    }

    index_t stored() const { return static_cast<index_t>(set_.is_dna() ? set_.tokens_.size() : set_.samples_.size()); }

    /// Numbers by first sight become numbers by name.
    void sort_classes() {
        std::vector<std::int32_t> sorted(known_.size());
        for (auto const& [name, seen] : known_) {
            sorted[static_cast<std::size_t>(seen)] = static_cast<std::int32_t>(set_.classes_.size());
            set_.classes_.push_back(name);
        }
        for (auto& example : set_.examples_) {
            if (example.label >= 0) { example.label = sorted[static_cast<std::size_t>(example.label)]; }
        }
    }

    TrainingSet& set_;
    TrainingSetOptions const& options_;
    std::map<std::string, std::int32_t> known_;
    TrainingExample example_;
    bool wanted_ = false; ///< example_ is being filled
};

TrainingSet::TrainingSet(std::vector<std::filesystem::path> const& files, TrainingSetOptions const& options)
    : preprocessor_(options.source.preprocessor), target_(options.target), files_(files), classes_(options.classes) {
    if (options.target != TargetKind::none && options.labels == nullptr) {
        throw Error(ErrorCode::invalid_argument, "classes and values need labels: give --labels or --labels-from");
    }
    RecordSource source(files, storage_options(options.source));
    Reader(*this, options).read(source);
}

View<std::uint8_t const, 1> TrainingSet::tokens(index_t example) const noexcept {
    auto const& at = (*this)[example];
    return {tokens_.data() + at.offset, at.length};
}

View<float const, 1> TrainingSet::samples(index_t example) const noexcept {
    auto const& at = (*this)[example];
    return {samples_.data() + at.offset, at.length};
}

index_t TrainingSet::bytes() const noexcept {
    return static_cast<index_t>(tokens_.capacity() + samples_.capacity() * sizeof(float));
}

std::uint64_t TrainingSet::hash() const noexcept {
    std::uint64_t hash =
        hash_bytes(tokens_.data(), tokens_.size()) ^ hash_bytes(samples_.data(), samples_.size() * sizeof(float));
    for (auto const& example : examples_) {
        std::array<std::uint64_t, 5> const words = {
            hash, hash_bytes(example.name.data(), example.name.size()), static_cast<std::uint64_t>(example.length),
            static_cast<std::uint64_t>(example.label), std::bit_cast<std::uint32_t>(example.value)};
        hash = hash_bytes(words.data(), sizeof words);
    }
    return hash;
}

} // namespace strandwave
