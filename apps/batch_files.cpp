#include "apps/batch_files.h"

#include "apps/device_choice.h"
#include "apps/progress.h"
#include "formats/checksum.h"
#include "lib/core/partial_file.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

/// ISO 8601, UTC.
std::string time_text(std::chrono::system_clock::time_point time) {
    auto const seconds = std::chrono::system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

index_t peak_memory_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return index_t{usage.ru_maxrss} * 1024;
}

Json counts_json(BatchTotals const& totals) {
    auto const& tally = totals.tally;
    return {{"inputs", totals.inputs},          {"complete", totals.complete},  {"failed_inputs", totals.failed_inputs},
            {"records", tally.records},         {"rows", tally.rows},           {"failed", tally.failed},
            {"too_short", tally.too_short},     {"secondary", tally.secondary}, {"silent", tally.silent},
            {"no_position", tally.no_position}, {"symbols", tally.symbols},     {"tokens", tally.positions}};
}

} // namespace

void RunFigures::end(RunReport const& report) {
    finished = std::chrono::system_clock::now();
    seconds = std::chrono::duration<double>(finished - started).count();
    tokens_per_second = seconds > 0 ? static_cast<double>(report.positions) / seconds : 0;
    wait_share = strandwave::wait_share(report, seconds);
    peak_memory_bytes = strandwave::peak_memory_bytes();
}

void write_run_json(std::filesystem::path const& folder, BatchJob const& job, BatchTotals const& totals,
                    OpenedModel const& opened, std::filesystem::path const& model, RunFigures const& figures) {
    auto settings = Json::object();
    for (auto const& [name, value] : job.settings) {
        settings[name] = value;
    }
    Json const json = {
        {"strandwave", job.outputs.version},
        {"command", job.outputs.command},
        {"task", job.outputs.labels.empty() ? "embed" : "classify"},
        {"model",
         {{"directory", model.string()},
          {"fingerprint", job.settings.at("model")},
          {"architecture", architecture_name(opened.model->config().architecture)},
          {"parameters", opened.model->parameters()},
          {"labels", job.outputs.labels}}},
        {"settings", settings},
        {"device", describe(opened.model->device())},
        {"dtype", dtype_name(opened.model->dtype())},
        {"threads", opened.threads->count()},
        {"chunk", opened.chunk},
        {"shard", std::to_string(job.shard.number + 1) + "/" + std::to_string(job.shard.count)},
        {"counts", counts_json(totals)},
        {"figures",
         {{"seconds", figures.seconds},
          {"tokens_per_second", figures.tokens_per_second},
          {"wait_share", figures.wait_share},
          {"peak_memory_bytes", figures.peak_memory_bytes}}},
        {"started", time_text(figures.started)},
        {"finished", time_text(figures.finished)},
    };
    write_file_whole(folder / "run.json",
                     json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + '\n');
}

void write_merged_run_json(std::filesystem::path const& folder, std::vector<std::filesystem::path> const& shards,
                           BatchTotals const& totals) {
    Json merged;
    auto figures = Json::array();
    double seconds = 0;
    for (auto const& shard : shards) {
        auto const file = shard / "run.json";
        std::ifstream stream(file);
        if (!stream) { throw Error(ErrorCode::not_found, file.string() + ": cannot be read"); }
        auto run = Json::parse(stream, nullptr, false);
        if (run.is_discarded() || !run.contains("figures")) {
            throw Error(ErrorCode::malformed_input, file.string() + ": is no run.json");
        }
        figures.push_back({{"shard", run["shard"]}, {"figures", run["figures"]}});
        seconds = std::max(seconds, run["figures"].value("seconds", 0.0));
        if (merged.is_null()) { merged = std::move(run); }
    }
    merged["shard"] = "1/1";
    merged["counts"] = counts_json(totals);
    merged["figures"] = {
        {"seconds", seconds},
        {"tokens_per_second", seconds > 0 ? static_cast<double>(totals.tally.positions) / seconds : 0.0}};
    merged["shards"] = figures;
    write_file_whole(folder / "run.json", merged.dump(2) + '\n');
}

std::string model_fingerprint(std::filesystem::path const& directory) {
    std::vector<std::filesystem::path> files;
    for (auto const& entry : std::filesystem::directory_iterator(directory)) {
        auto const ending = entry.path().extension();
        bool const counts =
            entry.path().filename() == "config.json" || ending == ".safetensors" || ending == ".bin" || ending == ".pt";
        if (counts) { files.push_back(entry.path()); }
    }
    std::sort(files.begin(), files.end());
    std::string text;
    for (auto const& file : files) {
        text += file.filename().string() + ' ' + md5_of_file(file) + '\n';
    }
    return md5_of_text(text);
}

} // namespace strandwave
