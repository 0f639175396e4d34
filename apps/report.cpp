#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/label_flags.h"
#include "apps/output_path.h"
#include "lib/core/partial_file.h"
#include "pipelines/report/report_page.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

namespace strandwave {
namespace {

struct ReportFlags {
    std::filesystem::path folder;
    LabelOptions labels;
    std::string title;
    OutputOptions output;
    LogOptions log;
};

ExitCode run(ReportFlags const& flags) {
    auto const file = flags.output.path.empty() ? flags.folder / "report.html" : flags.output.path;
    bool const to_stdout = file == "-";
    if (!to_stdout) { check_output_file(file, flags.output.force); }
    auto const data = read_report_data(flags.folder, flags.labels);
    auto const page = report_page(data, flags.title);
    if (to_stdout) {
        std::cout << page << std::flush;
        if (!std::cout) { throw Error(ErrorCode::io, "stdout: could not be written"); }
    } else {
        write_file_whole(file, page);
        log_line(flags.log, "report written to " + file.string());
    }
    for (auto const& problem : data.problems.first) {
        log_error(problem);
    }
    return data.problems.total == 0 ? ExitCode::done : ExitCode::records_failed;
}

} // namespace

void add_report_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<ReportFlags>();
    CLI::App* command = program.add_subcommand("report", "Write one HTML page of what a batch found");
    command->add_option("OUTDIR", flags->folder, "The folder that batch wrote")->required()->type_name("DIR");
    command->add_option("--title", flags->title, "Of the page (default: made from the folder's name)");
    add_label_flags(*command, flags->labels);
    add_output_options(*command, flags->output, false, "Page to write; - is stdout (default: OUTDIR/report.html)");
    add_log_options(*command, flags->log);
    command->footer(
        "Classes, confidence, lengths, failures and figures of the run; the confusion matrix where true classes are\n"
        "known, from the sheet's column `label` or from --labels and --labels-from; the first two principal "
        "components\n"
        "of embeddings. One file of 2 MiB at most, without scripts and without anything from a network.\n"
        "Exit code 1: files that the batch lists are missing or damaged; the page names them.\n"
        "\nExample:\n"
        "  strandwave report results/ --title 'Run 12'");
    command->callback([flags, &result] { result.exit_code = run(*flags); });
}

} // namespace strandwave
