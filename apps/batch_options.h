#pragma once

#include "apps/common_options.h"
#include "lib/model/session.h"

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// The options of `batch`, as they were given.
struct BatchFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    LogOptions log;
    std::filesystem::path folder, sheet;
    std::string task;
    std::vector<std::string> formats;
    bool bgzf = false;
    bool probabilities = false;
    double min_probability = 0;
    bool per_record = false;
    index_t layer = kFinalNorm;
    bool paired = false;
    bool fail_fast = false;
    bool resume = false;
    bool force = false;
    std::string shard = "1/1";
    std::string shard_by = "files";
    std::string progress = "auto";
};

void add_batch_options(CLI::App& command, BatchFlags& flags);

} // namespace strandwave
