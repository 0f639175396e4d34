#include "lib/model/verify.h"
#include "apps/commands.h"
#include "apps/common_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

namespace strandwave {
namespace {

struct VerifyCommandOptions {
    ModelOptions model;
    ComputeOptions compute;
    LogOptions log;
    VerifyOptions verify;
};

ExitCode run(VerifyCommandOptions const& options) {
    OpenedModel const opened = open_model(options.model, options.compute, options.log);
    VerifyOptions verify = options.verify;
    verify.threads = opened.threads->count();
    std::printf("check\tdifference\tbound\tresult\n");
    bool passed = true;
    for (VerifyCheck const& check : verify_model(opened.model, verify)) {
        std::printf("%s\t%.3g\t%.3g\t%s\n", check.name.c_str(), check.difference, check.bound,
                    check.passed() ? "pass" : "FAIL");
        passed = passed && check.passed();
    }
    return passed ? ExitCode::done : ExitCode::records_failed;
}

} // namespace

void add_verify_command(CLI::App& program, CommandResult& result) {
    auto const options = std::make_shared<VerifyCommandOptions>();
    CLI::App* command =
        program.add_subcommand("verify", "Check that pieces, company, threads and strands do not matter");
    command->add_option("DIR", options->model.directory, "model directory")->required();
    command->add_flag("--ignore-extra", options->model.ignore_extra, "pass over tensors that the model does not know");
    command->add_option("--length", options->verify.length, "positions of the random record")
        ->check(CLI::Range(index_t{3}, index_t{1} << 20))
        ->capture_default_str();
    command->add_option("--seed", options->verify.seed, "of the random record")->capture_default_str();
    add_compute_options(*command, options->compute);
    add_log_options(*command, options->log);
    command->footer("A difference is |a - b| / |b| over the final norm's output; a bound of 0 asks for the same bits.\n"
                    "Exit code 1 if a check fails.\n"
                    "\nExample:\n"
                    "  strandwave verify MODEL");
    command->callback([options, &result] { result.exit_code = run(*options); });
}

} // namespace strandwave
