#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/interrupt.h"
#include "kernels/simd/simd_target.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <iostream>
#include <new>
#include <string>

namespace strandwave {
namespace {

int as_int(ExitCode code) { return static_cast<int>(code); }

void add_commands(CLI::App& program, CommandResult& result) {
    program.require_subcommand(1);
    program.set_version_flag("--version", [] {
        std::string const backends = STRANDWAVE_HAS_CUDA ? "cpu, cuda" : "cpu";
        return "strandwave " STRANDWAVE_VERSION "\nbackends: " + backends + "\nSIMD target: " + simd_target_name();
    });
    program.footer(
        "`strandwave COMMAND --help` shows the options of a command, their units and defaults, and an "
        "example.\nExit code: 0 all done, 1 some records failed, 2 usage or set-up, 130 and 143 interrupted.");
    add_classify_command(program, result);
    add_batch_command(program, result);
    add_merge_command(program, result);
    add_embed_command(program, result);
    add_forward_command(program, result);
    add_init_command(program, result);
    add_probe_command(program, result);
    add_train_command(program, result);
    add_evaluate_command(program, result);
    add_report_command(program, result);
    add_info_command(program, result);
    add_verify_command(program, result);
    add_bench_command(program, result);
    add_completion_command(program, result);
    add_man_command(program, result);
}

int run_command(int argc, char** argv) {
    CLI::App program("Reads DNA and sound of any length with state space models", "strandwave");
    CommandResult result;
    add_commands(program, result);
    // Read by `train`, where the option falls through to.
    program.set_config("--config", "", "Read options from the sections [COMMAND] of this TOML file")->group("");
    program.allow_config_extras(CLI::config_extras_mode::error);
    try {
        program.parse(argc, argv);
        return as_int(result.exit_code);
    } catch (CLI::ParseError const& error) {
        return program.exit(error) == 0 ? as_int(ExitCode::done) : as_int(ExitCode::unusable);
    }
}

/// A call that a signal has interrupted may end in any error.
int failed(std::string const& message) {
    if (interrupted()) { return 128 + interrupting_signal(); }
    log_error(message);
    return as_int(ExitCode::unusable);
}

int run(int argc, char** argv) {
    try {
        note_interrupts();
        return run_command(argc, argv);
    } catch (Interrupted const& interrupted) { return 128 + interrupted.signal; } catch (Error const& error) {
        return failed(error.message());
    } catch (std::bad_alloc const&) {
        return failed("out of memory; a smaller --chunk or --window needs less");
    } catch (std::exception const& error) { return failed(error.what()); }
}

} // namespace
} // namespace strandwave

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);
    std::signal(SIGPIPE, SIG_DFL); // a reader that closes stdout, as head does, ends the run quietly
    return strandwave::run(argc, argv);
}
