#include "lib/model/verify.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/progress.h"
#include "apps/verify_labels.h"
#include "lib/core/error.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <memory>

namespace strandwave {
namespace {

struct VerifyCommandOptions {
    ModelOptions model;
    ComputeOptions compute;
    InputFlags input;
    LogOptions log;
    VerifyOptions verify;
};

/// The same checkpoint on another device or of another type; `model` itself if that is what it is.
std::shared_ptr<Model const> load_as(std::shared_ptr<Model const> const& model, ModelOptions const& options,
                                     Device device, DType dtype) {
    if (model->device().gpu == device.gpu && model->dtype() == dtype) { return model; }
    return Model::load(options.directory, {dtype, options.ignore_extra, device});
}

/// Prints checks as they come and remembers whether one failed.
class Report {
public:
    Report() { std::printf("check\tdifference\tbound\tresult\n"); }

    void add(VerifyCheck const& check, std::string const& remark = "") {
        char difference[64] = "-"; // there is none
        if (!std::isnan(check.difference)) { std::snprintf(difference, sizeof difference, "%.3g", check.difference); }
        std::printf("%s\t%s\t%.3g\t%s%s\n", check.name.c_str(), difference, check.bound,
                    check.passed() ? "pass" : "FAIL", remark.c_str());
        std::fflush(stdout);
        passed_ = passed_ && check.passed();
    }

    bool passed() const noexcept { return passed_; }

private:
    bool passed_ = true;
};

/// A model on a GPU against the cpu, first in the type in which the two are to be equal.
void check_devices(VerifyCommandOptions const& options, VerifyOptions const& verify, OpenedModel const& opened,
                   std::shared_ptr<Model const> const& reference, Report& report) {
    auto const& model = opened.model;
    auto const exact = load_as(model, options.model, model->device(), DType::f32);
    report.add(compare_models(exact, reference, verify));
    if (model->dtype() != DType::f32) { report.add(compare_models(model, reference, verify)); }
}

/// Returns whether all inputs could be read.
bool check_labels(VerifyCommandOptions const& options, OpenedModel const& opened,
                  std::shared_ptr<Model const> const& reference, Report& report) {
    auto const labels = compare_labels(opened, reference, options.input, options.log);
    VerifyCheck const check{"labels changed", labels.share(), kMostLabelsChanged}; // no share passes for no rows
    report.add(check, " (n = " + std::to_string(labels.rows) + ")");
    return exit_code(labels.report) == ExitCode::done;
}

ExitCode run(VerifyCommandOptions const& options) {
    bool const classifies = !options.input.files.empty();
    OpenedModel const opened = classifies ? open_model(options.model, options.compute, {}, options.log)
                                          : open_model(options.model, options.compute, options.log);
    if (classifies) { check_labels_comparable(*opened.model, options.input); }
    VerifyOptions verify = options.verify;
    verify.threads = opened.threads->count();
    Report report;
    for (VerifyCheck const& check : verify_model(opened.model, verify)) {
        report.add(check);
    }
    bool const on_gpu = opened.model->device().is_gpu();
    bool all_read = true;
    if (on_gpu || classifies) {
        auto const reference = load_as(opened.model, options.model, Device{}, DType::f32);
        if (on_gpu) { check_devices(options, verify, opened, reference, report); }
        if (classifies) { all_read = check_labels(options, opened, reference, report); }
    }
    return report.passed() && all_read ? ExitCode::done : ExitCode::records_failed;
}

} // namespace

void add_verify_command(CLI::App& program, CommandResult& result) {
    auto const options = std::make_shared<VerifyCommandOptions>();
    CLI::App* command = program.add_subcommand(
        "verify", "Check that pieces, company, threads, strands, device and precision do not matter");
    command->add_option("DIR", options->model.directory, "Model directory")->required();
    command->add_flag("--ignore-extra", options->model.ignore_extra, "Pass over tensors that the model does not know");
    command->add_option("--length", options->verify.length, "Positions of the random record")
        ->check(CLI::Range(index_t{3}, index_t{1} << 20).description(""))
        ->capture_default_str();
    command->add_option("--seed", options->verify.seed, "Of the random record")
        ->check(unfit_seed)
        ->capture_default_str();
    add_input_flags(*command, options->input);
    command->get_option("INPUT")->required(false)->description(
        "Files to classify in both ways, as classify takes them");
    add_compute_options(*command, options->compute);
    add_log_options(*command, options->log);
    command->footer("A difference is |a - b| / |b| over the final norm's output; a bound of 0 asks for the same bits. "
                    "A model on a\n"
                    "GPU is also compared with the cpu in f32. INPUT files are classified both by the model as "
                    "--device and --dtype\n"
                    "say and on the cpu in f32: `labels changed` is the share of the n records whose label differs.\n"
                    "Exit code 1 if a check fails, or a record does.\n"
                    "\nExamples:\n"
                    "  strandwave verify MODEL\n"
                    "  strandwave verify --device cuda:0 --dtype bf16 MODEL reads.fastq.gz");
    command->callback([options, &result] { result.exit_code = run(*options); });
}

} // namespace strandwave
