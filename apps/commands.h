#pragma once

namespace CLI {
class App;
}

namespace strandwave {

/// How a run ends; the exit code of the program. One that a signal ends (Interrupted) exits with 128 and its number.
enum class ExitCode : int {
    done = 0,           ///< everything that was asked for is written
    records_failed = 1, ///< some records or files failed, each named on stderr; all others are written
    unusable = 2,       ///< usage or set-up: nothing is written
};

/// Filled by the command that ran.
struct CommandResult {
    ExitCode exit_code = ExitCode::done;
};

/// Each adds its subcommand, options and help to `program`. The work is done in the subcommand's callback, which
/// main runs after all options are parsed; it sets `result` or throws `Error` (which main turns into exit code 2).
/// `result` outlives the parse. The man page and the shell completion are written from these same options.
void add_classify_command(CLI::App& program, CommandResult& result);
void add_batch_command(CLI::App& program, CommandResult& result);
void add_merge_command(CLI::App& program, CommandResult& result);
void add_embed_command(CLI::App& program, CommandResult& result);
void add_forward_command(CLI::App& program, CommandResult& result);
void add_init_command(CLI::App& program, CommandResult& result);
void add_probe_command(CLI::App& program, CommandResult& result);
void add_train_command(CLI::App& program, CommandResult& result);
void add_evaluate_command(CLI::App& program, CommandResult& result);
void add_report_command(CLI::App& program, CommandResult& result);
void add_info_command(CLI::App& program, CommandResult& result);
void add_verify_command(CLI::App& program, CommandResult& result);
void add_bench_command(CLI::App& program, CommandResult& result);
void add_completion_command(CLI::App& program, CommandResult& result);
void add_man_command(CLI::App& program, CommandResult& result);

} // namespace strandwave
