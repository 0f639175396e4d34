#include "pipelines/data_split.h"

#include "lib/core/error.h"
#include "lib/core/hash.h"
#include "lib/core/random.h"
#include "lib/encode/nucleotide_encoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string_view>
#include <unordered_map>

namespace strandwave {
namespace {

using Group = std::vector<index_t>; ///< examples that stay together

/// The groups of each class, in input order. Channels of a recording are records of their own, but of one file.
std::map<std::int32_t, std::vector<Group>> groups_by_class(TrainingSet const& set) {
    std::map<index_t, Group> groups;
    for (index_t i = 0; i < set.size(); ++i) {
        groups[set.is_dna() ? set[i].record : set[i].file].push_back(i);
    }
    std::map<std::int32_t, std::vector<Group>> classes;
    for (auto& [key, group] : groups) {
        auto const label = set[group.front()].label;
        classes[label].push_back(std::move(group));
    }
    return classes;
}

template <class T>
void shuffle(std::vector<T>& values, Random& random) {
    for (std::size_t i = values.size(); i > 1; --i) {
        std::swap(values[i - 1], values[random.below(i)]);
    }
}

void append(std::vector<index_t>& list, Group const& group) { list.insert(list.end(), group.begin(), group.end()); }

DataSplit in_order(DataSplit split, char const* reason) {
    if (split.training.empty() || split.validation.empty()) { throw Error(ErrorCode::invalid_argument, reason); }
    std::sort(split.training.begin(), split.training.end());
    std::sort(split.validation.begin(), split.validation.end());
    return split;
}

/// Equal hashes are compared by content.
struct Bytes {
    void const* data = nullptr;
    std::size_t size = 0;

    std::uint64_t hash() const { return hash_bytes(data, size); }
    bool operator==(Bytes const& other) const { return size == other.size && std::memcmp(data, other.data, size) == 0; }
};

Bytes content(TrainingSet const& set, index_t example) {
    if (set.is_dna()) {
        auto const tokens = set.tokens(example);
        return {tokens.data, static_cast<std::size_t>(tokens.size)};
    }
    auto const samples = set.samples(example);
    return {samples.data, static_cast<std::size_t>(samples.size) * sizeof(float)};
}

/// The training examples, to be found by name and by content.
class TrainingIndex {
public:
    TrainingIndex(TrainingSet const& set, std::span<index_t const> examples) : set_(set) {
        for (index_t const example : examples) {
            names_.emplace(set[example].name, example);
            contents_[content(set, example).hash()].push_back(example);
        }
    }

    index_t by_name(std::string_view name) const {
        auto const found = names_.find(name);
        return found == names_.end() ? -1 : found->second;
    }
    index_t by_content(Bytes const& bytes) const {
        auto const found = contents_.find(bytes.hash());
        if (found == contents_.end()) { return -1; }
        auto const same = [&](index_t example) { return content(set_, example) == bytes; };
        auto const at = std::find_if(found->second.begin(), found->second.end(), same);
        return at == found->second.end() ? -1 : *at;
    }

private:
    TrainingSet const& set_;
    std::unordered_map<std::string_view, index_t> names_;
    std::unordered_map<std::uint64_t, std::vector<index_t>> contents_;
};

} // namespace

DataSplit split_none(TrainingSet const& set) {
    DataSplit split;
    for (index_t i = 0; i < set.size(); ++i) {
        split.training.push_back(i);
    }
    return split;
}

DataSplit split_held_out(TrainingSet const& set, double fraction, std::uint64_t seed) {
    if (!(fraction > 0 && fraction < 1)) {
        throw Error(ErrorCode::invalid_argument, "the held-out share must lie between 0 and 1");
    }
    DataSplit split;
    Random random(seed);
    for (auto& [label, groups] : groups_by_class(set)) {
        shuffle(groups, random);
        auto const n = static_cast<index_t>(groups.size());
        auto const wanted = static_cast<index_t>(std::lround(fraction * static_cast<double>(n)));
        index_t const held = std::min(n - 1, std::max<index_t>(wanted, 1));
        for (index_t i = 0; i < n; ++i) {
            append(i < held ? split.validation : split.training, groups[static_cast<std::size_t>(i)]);
        }
    }
    return in_order(std::move(split), "no class has two records: nothing can be held out");
}

DataSplit split_fold(TrainingSet const& set, index_t fold, index_t folds, std::uint64_t seed) {
    if (folds < 2 || fold < 0 || fold >= folds) {
        throw Error(ErrorCode::invalid_argument, "fold " + std::to_string(fold) + " of " + std::to_string(folds) +
                                                     " does not exist: folds count from 0, and there are 2 or more");
    }
    DataSplit split;
    Random random(seed);
    index_t next = 0; // goes on from class to class, so that the folds are of one size
    for (auto& [label, groups] : groups_by_class(set)) {
        shuffle(groups, random);
        for (auto const& group : groups) {
            append(next++ % folds == fold ? split.validation : split.training, group);
        }
    }
    return in_order(std::move(split), "there are fewer records than folds");
}

DataSplit split_by_file(TrainingSet const& set, index_t first_validation_file) {
    DataSplit split;
    for (index_t i = 0; i < set.size(); ++i) {
        (set[i].file < first_validation_file ? split.training : split.validation).push_back(i);
    }
    char const* const reason = split.training.empty() ? "the training files hold no usable record"
                                                      : "the validation files hold no usable record";
    return in_order(std::move(split), reason);
}

LeakageReport find_leakage(TrainingSet const& training_set, std::span<index_t const> training,
                           TrainingSet const& validation_set, std::span<index_t const> validation) {
    TrainingIndex const index(training_set, training);
    NucleotideEncoder const encoder(validation_set.preprocessor().nucleotide);
    auto const complement = encoder.complement_map(encoder.vocabulary_size());
    LeakageReport report;
    auto const note = [&report](index_t& count, Leak leak) {
        if (leak.training < 0) { return; }
        if (count++ < kLeaksShown) { report.first.push_back(leak); }
    };
    std::vector<std::uint8_t> other_strand;
    for (index_t const example : validation) {
        note(report.same_name, {LeakKind::name, example, index.by_name(validation_set[example].name)});
        auto const same = index.by_content(content(validation_set, example));
        note(report.same_content, {LeakKind::content, example, same});
        if (same >= 0 || !validation_set.is_dna()) { continue; }
        auto const tokens = validation_set.tokens(example);
        other_strand.assign(tokens.data, tokens.data + tokens.size);
        std::reverse(other_strand.begin(), other_strand.end());
        for (auto& token : other_strand) {
            token = static_cast<std::uint8_t>(complement[token]);
        }
        note(report.reverse_complement,
             {LeakKind::reverse_complement, example, index.by_content({other_strand.data(), other_strand.size()})});
    }
    return report;
}

} // namespace strandwave
