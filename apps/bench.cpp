#include "apps/bench_report.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/cuda_bench_measure.h"
#include "apps/device_choice.h"
#include "apps/output_path.h"
#include "kernels/simd/simd_target.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"
#include "lib/model/cuda_plan.h"
#include "lib/model/session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <span>

namespace strandwave {
namespace {

constexpr index_t kReadLength = 150;
constexpr bool kWithCuda = STRANDWAVE_HAS_CUDA != 0; ///< without it no model is on a GPU, and the calls are not there

struct BenchOptions {
    ModelOptions model;
    ComputeOptions compute;
    LogOptions log;
    std::vector<index_t> lengths;
    int runs = 3;
    index_t rows = 0;
    index_t decode_steps = 256;
    std::filesystem::path json;
    bool force = false;
};

/// What the measurements are of, ready to run.
struct Subject {
    OpenedModel opened;
    index_t rows = kDefaultTokenBlock; ///< of the ops
    index_t chunk = 0;                 ///< positions a feed
    index_t free_bytes = 0;            ///< of the GPU, before the model was loaded
    GpuCeilings ceilings;
};

/// 1, 2, 4, ... and the most. A GPU has no use for threads: 0.
std::vector<int> thread_counts(Subject const& subject) {
    if (subject.opened.model->device().is_gpu()) { return {0}; }
    int const most = subject.opened.threads->count();
    std::vector<int> counts;
    for (int count = 1; count < most; count *= 2) {
        counts.push_back(count);
    }
    counts.push_back(most);
    return counts;
}

std::vector<OpTiming> measure_ops(Subject const& subject, std::string const& title, index_t rows, int runs) {
    Model const& model = *subject.opened.model;
    if constexpr (kWithCuda) {
        if (model.device().is_gpu()) {
            auto ops = time_gpu_ops(model, subject.ceilings, rows, runs);
            print_gpu_ops(title, ops);
            return ops;
        }
    }
    auto ops = time_ops(model, rows, runs);
    print_cpu_ops(title, ops);
    return ops;
}

void keep(Subject const& subject, BenchRow row, std::vector<BenchRow>& rows) {
    if (row.on_gpu()) { row.device_bytes = subject.free_bytes - row.timing.gpu_free_bytes; }
    print_row(row);
    rows.push_back(std::move(row));
}

/// A length that one feed of a bidirectional model cannot hold is left out with a word, not a reason to stop.
void bench_prefill(Subject const& subject, BenchOptions const& options, double floor, std::vector<BenchRow>& rows) {
    auto const& model = subject.opened.model;
    for (int const count : thread_counts(subject)) {
        int const workers = std::max(count, 1);
        Threads threads(workers);
        for (index_t const length : options.lengths) {
            BenchRow row{"prefill", length, count, {}, floor * workers};
            try {
                row.timing = time_prefill(model, threads, length, subject.chunk, options.runs);
            } catch (Error const& error) {
                if (error.code() != ErrorCode::too_large) { throw; }
                log_line(options.log, "length " + std::to_string(length) + " left out: " + error.message());
                continue;
            }
            keep(subject, row, rows);
        }
        index_t const records = std::max<index_t>(1, subject.chunk / kReadLength);
        BenchRow row{"reads of 150", records * kReadLength, count, {}, floor * workers};
        row.timing = time_records(model, threads, records, kReadLength, options.runs);
        keep(subject, row, rows);
    }
}

void write_json(BenchOptions const& options, nlohmann::json const& report) {
    write_file_whole(options.json, report.dump(2) + '\n');
}

/// Bytes that a GPU has free before anything is done with it; 0 of the processor.
index_t free_bytes_of(Device device) {
    if constexpr (kWithCuda) {
        if (device.is_gpu()) {
            use_gpu(device.gpu);
            return free_device_bytes();
        }
    }
    return 0;
}

void prepare_gpu(Subject& subject, BenchOptions const& options) {
    if constexpr (kWithCuda) {
        constexpr index_t kStepsPerFeed = 8; // a feed waits for its last step
        Model const& model = *subject.opened.model;
        use_gpu(model.device().gpu);
        subject.rows = suitable_step_rows(model.config(), model.dtype(), model.device());
        if (options.compute.chunk == 0) { subject.chunk = std::max(subject.chunk, kStepsPerFeed * subject.rows); }
        subject.ceilings = measure_ceilings(find_gpu(model.device().gpu), model.dtype(), options.runs);
        std::printf("# ceilings: %s\n", describe(subject.ceilings).c_str());
        std::printf("# steps of %lld rows, feeds of %lld positions\n\n", static_cast<long long>(subject.rows),
                    static_cast<long long>(subject.chunk));
    }
}

void describe_gpu(Subject const& subject, nlohmann::json& report) {
    Gpu const gpu = find_gpu(subject.opened.model->device().gpu);
    report["gpu"] = {{"name", gpu.name}, {"multiprocessors", gpu.multiprocessors}, {"clock_hz", gpu.clock_hz}};
    report["ceilings"] = {{"copy_bytes_per_s", subject.ceilings.bytes_per_s},
                          {"gemm_flop_per_s", subject.ceilings.flop_per_s},
                          {"exponentials_per_s", subject.ceilings.exps_per_s}};
}

Subject open_subject(BenchOptions const& options) {
    Subject subject;
    subject.free_bytes = free_bytes_of(choose_devices(options.compute.device).devices.front());
    subject.opened = open_model(options.model, options.compute, options.log);
    subject.chunk = subject.opened.chunk;
    if (subject.opened.model->device().is_gpu()) { prepare_gpu(subject, options); }
    if (options.rows > 0) { subject.rows = options.rows; }
    return subject;
}

nlohmann::json describe(Subject const& subject, BenchOptions const& options) {
    Model const& model = *subject.opened.model;
    nlohmann::json report = {{"model", options.model.directory.string()},
                             {"architecture", architecture_name(model.config().architecture)},
                             {"parameters", model.parameters()},
                             {"device", model.device().name()},
                             {"dtype", dtype_name(model.dtype())},
                             {"simd", simd_target_name()},
                             {"threads", subject.opened.threads->count()},
                             {"chunk", subject.chunk},
                             {"runs", options.runs}};
    if (model.device().is_gpu()) { describe_gpu(subject, report); }
    return report;
}

void run(BenchOptions const& options) {
    if (!options.json.empty()) { check_output_file(options.json, options.force); }
    Subject const subject = open_subject(options);
    auto report = describe(subject, options);
    auto const& model = subject.opened.model;
    bool const on_gpu = model->device().is_gpu();

    auto const ops = measure_ops(subject, "prefill", subject.rows, options.runs);
    report["ops"] = to_json(ops);
    std::vector<OpTiming> single;
    if (model->causal()) {
        single = measure_ops(subject, "decoding", 1, options.runs);
        report["ops_decode"] = to_json(single);
    }

    std::vector<BenchRow> rows;
    on_gpu ? print_gpu_header() : print_cpu_header();
    bench_prefill(subject, options, floor_tokens_per_s(ops), rows);
    if (model->causal()) {
        Threads one(1); // a token is a chain of dependent layers: more threads have nothing to do
        BenchRow row{"decode, 1 record", options.decode_steps, on_gpu ? 0 : 1, {}, floor_tokens_per_s(single)};
        row.timing = time_decode(model, one, options.decode_steps, options.runs);
        keep(subject, row, rows);
    }
    for (BenchRow const& row : rows) {
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
    CLI::App* command =
        program.add_subcommand("bench", "Measure speed over lengths and threads, or on a GPU, beside the floor");
    command->add_option("DIR", options->model.directory, "Model directory")->required();
    command->add_flag("--ignore-extra", options->model.ignore_extra, "Pass over tensors that the model does not know");
    command->add_option("--lengths", options->lengths, "Positions of a record, comma-separated (default: 2^10 to 2^17)")
        ->delimiter(',')
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false) // DIR behind it is none
        ->check(CLI::Range(index_t{1}, index_t{1} << 30).description(""));
    command->add_option("--runs", options->runs, "Runs of each measurement; the median counts")
        ->check(CLI::Range(1, 1000).description(""))
        ->capture_default_str();
    command
        ->add_option("--rows", options->rows, "Tokens of each call of an op (default: 128; on a GPU those of a step)")
        ->check(CLI::Range(index_t{1}, index_t{1} << 24).description(""));
    command->add_option("--decode-steps", options->decode_steps, "Tokens of the decoding run")
        ->check(CLI::Range(index_t{1}, index_t{1} << 30).description(""))
        ->capture_default_str();
    command->add_option("--json", options->json, "Also write all figures to this file");
    command->add_flag("--force", options->force, "Replace the file of --json");
    add_compute_options(*command, options->compute);
    add_log_options(*command, options->log);
    command->footer(
        "The floor of the cpu is what the matrix products and the scan take alone, in CPU time of one thread; the "
        "share\n"
        "of one thread is by its CPU time, of several by the wall clock.\n"
        "On a GPU the floor of an op is the longest of: its bytes, each input read and each output written once, at "
        "the\n"
        "speed of a copy; its FLOP at that of a product 8192^3; the exponentials of a scan at 16 a clock and\n"
        "multiprocessor. The model's floor is the sum over its ops. GPU MiB is what model and session took.\n"
        "\nExamples:\n"
        "  strandwave bench --lengths 16384,131072 --threads 2 --json speed.json MODEL\n"
        "  strandwave bench --device cuda:0 --lengths 16384,131072,1048576 --json speed.json MODEL");
    command->callback([options, &result] {
        run(*options);
        result.exit_code = ExitCode::done;
    });
}

} // namespace strandwave
