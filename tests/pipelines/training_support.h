#pragma once

#include "lib/train/train_batch.h"
#include "pipelines/training_set.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

namespace strandwave {

using Tokens = std::vector<std::int32_t>;

/// Files in a folder of their own, and sets made of them.
class TrainingFiles {
public:
    std::filesystem::path write(std::string const& name, std::string const& content) {
        files.push_back(folder.path() / name);
        return write_text(files.back(), content);
    }
    /// Labels from "file", "folder" or "header".
    TrainingSet read(std::string const& from) {
        LabelOptions where;
        where.from = from;
        LabelSource const labels(where, files, options.source.input);
        options.labels = &labels;
        if (options.target == TargetKind::none) { options.target = TargetKind::classes; }
        options.failure = [this](UnitFailure const& failure) { failures.push_back(failure); };
        TrainingSet set(files, options);
        options.labels = nullptr;
        return set;
    }
    TrainingSet read() { return {files, options}; }

    /// Records of two classes, of these lengths.
    TrainingSet dna(std::vector<index_t> const& lengths) {
        std::string text;
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            text += ">r" + std::to_string(i) + " label=" + (i % 2 == 0 ? "even" : "odd") + "\n" +
                    bases(lengths[i], static_cast<std::uint32_t>(i)) + "\n";
        }
        write("a.fa", text);
        return read("header");
    }

    TempDir folder;
    std::vector<std::filesystem::path> files;
    TrainingSetOptions options;
    std::vector<UnitFailure> failures;
};

inline Tokens tokens_of(std::string const& letters) {
    Tokens tokens;
    NucleotideCounts counts;
    NucleotideEncoder({}).encode(letters, tokens, counts).value();
    return tokens;
}

inline Tokens stored_tokens(TrainingSet const& set, index_t example) {
    auto const tokens = set.tokens(example);
    return {tokens.data, tokens.data + tokens.size};
}

/// 8 kHz, mu-law tokens.
inline PreprocessorConfig sound_preprocessor() {
    PreprocessorConfig config;
    config.input = InputKind::audio;
    config.audio.sampling_rate_hz = 8000;
    return config;
}

inline PreprocessorConfig frame_preprocessor(index_t length, index_t hop) {
    auto config = sound_preprocessor();
    config.audio.encoding = AudioEncoding::frames;
    config.audio.frame_length = length;
    config.audio.frame_hop = hop;
    return config;
}

inline std::vector<index_t> every_example(TrainingSet const& set) {
    std::vector<index_t> list;
    for (index_t i = 0; i < set.size(); ++i) {
        list.push_back(i);
    }
    return list;
}

/// `count` is within 5 standard deviations of a binomial's mean: a wrong alarm in two million draws of seeds.
inline void expect_share(double count, double n, double share, char const* what) {
    EXPECT_NEAR(count, n * share, 5 * std::sqrt(n * share * (1 - share))) << what;
}

inline std::vector<Tokens> records_of(TrainBatch const& batch, Tokens const& values) {
    std::vector<Tokens> records;
    auto at = values.begin();
    for (index_t const length : batch.lengths) {
        records.emplace_back(at, at + length);
        at += length;
    }
    EXPECT_EQ(at, values.end());
    return records;
}

} // namespace strandwave
