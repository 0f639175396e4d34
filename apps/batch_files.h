#pragma once

#include "apps/common_options.h"
#include "pipelines/batch/batch_run.h"
#include "pipelines/batch/batch_summary.h"

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// How a batch went, which is not the same each time.
struct RunFigures {
    std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
    std::chrono::system_clock::time_point finished;
    double seconds = 0;
    double tokens_per_second = 0;
    double wait_share = 0; ///< of the time, in which no model computed
    index_t peak_memory_bytes = 0;

    void end(RunReport const& report);
};

/// run.json of an output folder: version, command, model, settings, counts, figures. Throws io.
void write_run_json(std::filesystem::path const& folder, BatchJob const& job, BatchTotals const& totals,
                    OpenedModel const& opened, std::filesystem::path const& model, RunFigures const& figures);

/// The same of merged shards: what they say of the model and the settings, and the figures of each. Throws io,
/// not_found, malformed_input.
void write_merged_run_json(std::filesystem::path const& folder, std::vector<std::filesystem::path> const& shards,
                           BatchTotals const& totals);

/// MD5 over what a model directory computes with: its configuration and weights. Throws io, not_found.
std::string model_fingerprint(std::filesystem::path const& directory);

} // namespace strandwave
