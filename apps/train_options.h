#pragma once

#include "apps/common_options.h"
#include "pipelines/batch_sampler.h"
#include "pipelines/training_loop.h"

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// All that `train` can be told. Every flag is also a key of the [train] section of --config FILE.toml.
struct TrainFlags {
    ModelOptions model;
    InputFlags input;
    LabelOptions labels;
    OutputOptions output;
    LogOptions log;
    bool resume = false;

    std::string objective = "classification";
    std::string synthetic;            ///< a task made by rule instead of files
    std::string validation_synthetic; ///< the task that is validated on; empty: the same
    std::vector<std::filesystem::path> validation_files;
    double held_out = 0;
    std::string fold;                ///< "I/K"
    index_t validation_examples = 0; ///< at most; of synthetic tasks exactly
    std::string score;               ///< empty: mcc of classifiers, else loss

    BatchOptions batch;
    index_t accumulate = 1;
    bool balance = false; ///< weight classes by their rareness

    index_t steps = 0;
    double epochs = 0;
    OptimizerOptions optimizer;
    double warmup = 0.05; ///< share of the steps
    double dropout = 0;
    index_t freeze_below = 0;
    bool recompute = false;
    index_t piece = 0;
    bool truncate = false;

    TrainingLoopOptions loop;
    std::uint64_t seed = 1;
    ComputeOptions compute;
};

void add_train_options(CLI::App& command, TrainFlags& flags);

} // namespace strandwave
