#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/interrupt.h"
#include "kernels/simd/simd_target.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <iostream>
#include <new>
#include <string>
#include <unistd.h>

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

/// CLI11 looks for what is missing first, and for the misspelt word that should have been it not at all.
void tell_unknown_word(CLI::App const& program) {
    auto const rest = program.remaining(true);
    if (!rest.empty()) { std::cerr << rest.front() << " is no command, option or argument that is known here\n"; }
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
        if (dynamic_cast<CLI::RequiredError const*>(&error) != nullptr) { tell_unknown_word(program); }
        if (dynamic_cast<CLI::ConfigError const*>(&error) != nullptr) {
            std::cerr << "the file of --config has something that is no option of its section:\n";
        }
        return program.exit(error) == 0 ? as_int(ExitCode::done) : as_int(ExitCode::unusable);
    }
}

/// A call that a signal has interrupted may end in any error.
int failed(std::string const& message) {
    if (interrupted()) { return 128 + interrupting_signal(); }
    log_error(message);
    return as_int(ExitCode::unusable);
}

/// Nothing that a command wrote there is lost in silence.
int with_whole_stdout(int exit_code) {
    if (exit_code > as_int(ExitCode::records_failed)) { return exit_code; }
    bool const whole = std::cout.flush() && std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
    return whole ? exit_code : failed("stdout: could not be written whole");
}

/// A file that takes the number of a closed stdout or stderr would get what is written to that. /dev/null takes it
/// instead, opened so that writing fails, and reading from stdin.
void hold_standard_descriptors() {
    for (int const descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(descriptor, F_GETFD) >= 0) { continue; }
        (void)::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int run(int argc, char** argv) {
    try {
        note_interrupts();
        return with_whole_stdout(run_command(argc, argv));
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
    strandwave::hold_standard_descriptors();
    std::signal(SIGPIPE, SIG_DFL); // a reader that closes stdout, as head does, ends the run quietly
    return strandwave::run(argc, argv);
}
