#include "apps/bench_measure.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "kernels/simd/simd_target.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"
#include "lib/model/session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

namespace strandwave {
namespace {

constexpr index_t kReadLength = 150;

struct BenchOptions {
    ModelOptions model;
    ComputeOptions compute;
    LogOptions log;
    std::vector<index_t> lengths;
    int runs = 3;
    index_t decode_steps = 256;
    std::filesystem::path json;
    bool force = false;
};

/// One line of the whole-model table.
struct Row {
    std::string what;
    index_t positions = 0;
    int threads = 1;
    Timing timing;
    double floor = 0; ///< tokens/s of `threads` threads

    double tokens_per_s() const { return static_cast<double>(positions) / timing.wall_s; }
    double tokens_per_cpu_s() const { return static_cast<double>(positions) / timing.cpu_s; }
    /// The floor is CPU time of one thread. Several threads have to show their work on the wall clock.
    double share() const { return (threads == 1 ? tokens_per_cpu_s() : tokens_per_s()) / floor; }
};

void print_ops(std::string const& title, std::vector<OpTiming> const& ops) {
    std::printf("# %s: ops on one thread (CPU time), data in cache\n", title.c_str());
    std::printf("%-16s %6s %9s %12s %10s %10s %6s\n", "op", "rows", "calls", "ms/call", "GFLOP/s", "ns/state", "floor");
    for (OpTiming const& op : ops) {
        std::printf("%-16s %6lld %9.0f %12.5f %10.1f %10.4f %6s\n", op.name.c_str(), static_cast<long long>(op.rows),
                    op.calls, 1e3 * op.seconds, op.gflops, op.state_ns, op.in_floor ? "yes" : "no");
    }
    std::printf("floor: %.0f tokens/s of one thread\n\n", floor_tokens_per_s(ops));
}

void print_header() {
    std::printf("%-20s %9s %8s %10s %14s %12s %12s %7s\n", "run", "tokens", "threads", "ms", "tokens/cpu-s", "tokens/s",
                "floor", "share");
}

void print_row(Row const& row) {
    std::printf("%-20s %9lld %8d %10.2f %14.0f %12.0f %12.0f %6.0f%%\n", row.what.c_str(),
                static_cast<long long>(row.positions), row.threads, 1e3 * row.timing.wall_s, row.tokens_per_cpu_s(),
                row.tokens_per_s(), row.floor, 100 * row.share());
    std::fflush(stdout);
}

nlohmann::json to_json(std::vector<OpTiming> const& ops) {
    auto list = nlohmann::json::array();
    for (OpTiming const& op : ops) {
        list.push_back({{"op", op.name},
                        {"rows", op.rows},
                        {"calls", op.calls},
                        {"seconds", op.seconds},
                        {"gflops", op.gflops},
                        {"ns_per_token_channel_state", op.state_ns},
                        {"in_floor", op.in_floor}});
    }
    return list;
}

nlohmann::json to_json(Row const& row) {
    return {{"run", row.what},
            {"tokens", row.positions},
            {"threads", row.threads},
            {"wall_s", row.timing.wall_s},
            {"cpu_s", row.timing.cpu_s},
            {"tokens_per_s", row.tokens_per_s()},
            {"tokens_per_cpu_s", row.tokens_per_cpu_s()},
            {"floor_tokens_per_s", row.floor},
            {"share_of_floor", row.share()}};
}

/// 1, 2, 4, ... and the most.
std::vector<int> thread_counts(int most) {
    std::vector<int> counts;
    for (int count = 1; count < most; count *= 2) {
        counts.push_back(count);
    }
    counts.push_back(most);
    return counts;
}

/// A length that one feed of a bidirectional model cannot hold is left out with a word, not a reason to stop.
void bench_prefill(OpenedModel const& opened, BenchOptions const& options, double floor, std::vector<Row>& rows) {
    for (int const count : thread_counts(opened.threads->count())) {
        Threads threads(count);
        for (index_t const length : options.lengths) {
            Row row{"prefill", length, count, {}, floor * count};
            try {
                row.timing = time_prefill(opened.model, threads, length, opened.chunk, options.runs);
            } catch (Error const& error) {
                if (error.code() != ErrorCode::too_large) { throw; }
                log_line(options.log, "length " + std::to_string(length) + " left out: " + error.message());
                continue;
            }
            print_row(row);
            rows.push_back(row);
        }
        index_t const records = std::max<index_t>(1, opened.chunk / kReadLength);
        Row row{"reads of 150", records * kReadLength, count, {}, floor * count};
        row.timing = time_records(opened.model, threads, records, kReadLength, options.runs);
        print_row(row);
        rows.push_back(row);
    }
}

void write_json(BenchOptions const& options, nlohmann::json const& report) {
    auto const text = report.dump(2) + '\n';
    auto const bytes = std::as_bytes(std::span(text));
    write_file_whole(options.json, std::span(&bytes, 1));
}

void run(BenchOptions const& options) {
    if (!options.json.empty()) { refuse_to_overwrite(options.json, options.force); }
    OpenedModel const opened = open_model(options.model, options.compute, options.log);

    auto const ops = time_ops(*opened.model, kDefaultTokenBlock, options.runs);
    print_ops("prefill", ops);
    nlohmann::json report = {{"model", options.model.directory.string()},
                             {"architecture", architecture_name(opened.model->config().architecture)},
                             {"parameters", opened.model->parameters()},
                             {"dtype", dtype_name(opened.model->dtype())},
                             {"simd", simd_target_name()},
                             {"threads", opened.threads->count()},
                             {"chunk", opened.chunk},
                             {"runs", options.runs},
                             {"ops", to_json(ops)}};

    bool const causal = opened.model->causal();
    std::vector<OpTiming> single;
    if (causal) {
        single = time_ops(*opened.model, 1, options.runs);
        print_ops("decoding", single);
        report["ops_decode"] = to_json(single);
    }

    std::vector<Row> rows;
    print_header();
    bench_prefill(opened, options, floor_tokens_per_s(ops), rows);
    if (causal) {
        Threads one(1); // a token is a chain of dependent layers: more threads have nothing to do
        Row row{"decode, 1 record", options.decode_steps, 1, {}, floor_tokens_per_s(single)};
        row.timing = time_decode(opened.model, one, options.decode_steps, options.runs);
        print_row(row);
        rows.push_back(row);
    }
    for (Row const& row : rows) {
        report["results"].push_back(to_json(row));
    }
    if (!options.json.empty()) { write_json(options, report); }
}

} // namespace

void add_bench_command(CLI::App& program, CommandResult& result) {
    auto const options = std::make_shared<BenchOptions>();
    for (int power = 10; power <= 17; ++power) {
        options->lengths.push_back(index_t{1} << power);
    }
    CLI::App* command = program.add_subcommand("bench", "Measure speed over lengths and threads, beside the floor");
    command->add_option("DIR", options->model.directory, "model directory")->required();
    command->add_flag("--ignore-extra", options->model.ignore_extra, "pass over tensors that the model does not know");
    command->add_option("--lengths", options->lengths, "positions of a record, comma-separated (default 2^10 to 2^17)")
        ->delimiter(',')
        ->check(CLI::Range(index_t{1}, index_t{1} << 30));
    command->add_option("--runs", options->runs, "runs of each measurement; the median counts")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    command->add_option("--decode-steps", options->decode_steps, "tokens of the decoding run")
        ->check(CLI::Range(index_t{1}, index_t{1} << 30))
        ->capture_default_str();
    command->add_option("--json", options->json, "also write all figures to this file");
    command->add_flag("--force", options->force, "replace the file of --json");
    add_compute_options(*command, options->compute);
    add_log_options(*command, options->log);
    command->footer(
        "The floor is what the matrix products and the scan take alone, in CPU time of one thread; the share of one\n"
        "thread is by its CPU time, of several by the wall clock.\n"
        "\nExample:\n"
        "  strandwave bench --lengths 16384,131072 --threads 2 --json speed.json MODEL");
    command->callback([options, &result] {
        run(*options);
        result.exit_code = ExitCode::done;
    });
}

} // namespace strandwave
