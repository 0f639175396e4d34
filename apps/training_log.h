#pragma once

#include "apps/common_options.h"
#include "pipelines/training_loop.h"

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// What a training run tells while it goes on: a line on a terminal, lines in a log, and in its folder `metrics.tsv`
/// and `curves.svg`, which are written anew, whole, with every validation and at the end.
class TrainingLog {
public:
    /// A run that goes on from `step` keeps the rows up to it. `total`: steps of the run.
    TrainingLog(LogOptions const& log, std::filesystem::path folder, index_t step, index_t total, Objective objective);

    void progress(TrainingProgress const& progress, index_t bytes);
    void validated(Validation const& validation);
    void write(); ///< throws io

private:
    struct Row {
        index_t step = 0;
        bool validation = false;
        double loss = 0, accuracy = 0, score = 0, learning_rate = 0, gradient_norm = 0, tokens_per_s = 0, seconds = 0;
    };
    void read(index_t step);
    std::string judged(Row const& row) const;
    std::string curves() const;

    LogOptions log_;
    std::filesystem::path folder_;
    index_t begin_;
    index_t total_;
    Objective objective_;
    bool drawn_ = false;
    double last_seconds_ = 0;
    double before_ = 0; ///< seconds of the run before it went on
    std::vector<Row> rows_;
};

} // namespace strandwave
