#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/evaluate_rows.h"
#include "apps/evaluate_synthetic.h"
#include "apps/label_flags.h"
#include "apps/model_directory.h"
#include "lib/core/error.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>

namespace strandwave {
namespace {

struct EvaluateFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    LabelOptions labels;
    OutputOptions output;
    LogOptions log;
    bool per_record = false;
    std::vector<std::string> synthetic;
    index_t examples = 16;
};

void check_classifier(Model const& model) {
    if (model.config().head != HeadKind::classifier) {
        throw Error(ErrorCode::unsupported, "the model has no classifier head, so there is nothing to evaluate");
    }
    if (model.config().labels.size() < 2 && !model.config().regression) {
        throw Error(ErrorCode::unsupported, "the model has a single class; evaluate needs two or more to tell apart");
    }
}

void report_left_out(LogOptions const& log, LabelledRows const& answers) {
    if (answers.unlabelled.rows > 0) {
        log_line(log, std::to_string(answers.unlabelled.rows) + " rows left out: no label is known for them (" +
                          answers.unlabelled.first + " is the first)");
    }
    if (answers.not_finite.rows > 0) {
        log_error(std::to_string(answers.not_finite.rows) + " rows left out: their logits are not finite (" +
                  answers.not_finite.first + " is the first)");
    }
    if (answers.no_number.rows > 0) {
        log_error(std::to_string(answers.no_number.rows) + " rows left out: their labels are no numbers (" +
                  answers.no_number.first + " is the first)");
    }
}

/// Fills `answers`, and says what happened on stderr.
RunReport ask(EvaluateFlags const& flags, OpenedModel const& opened, RecordSourceOptions const& reading,
              Progress& progress, LabelledRows& answers) {
    RecordSource source(flags.input.files, reading);
    UnitRunOptions how;
    how.chunk = opened.chunk;
    how.pooling = opened.preprocessor.pooling;
    how.logits = true;
    how.per_record = flags.per_record;
    how.notice = [&](std::string const& line) {
        progress.clear();
        log_line(flags.log, line);
    };
    auto report = run_units(source, opened.replicas, *opened.threads, how, answers);
    progress.clear();
    answers.refuse_unknown_labels();
    log_summary(flags.log, report, progress.seconds());
    report_left_out(flags.log, answers);
    return report;
}

/// Asks, scores the rows, prints what came out and, where it is wanted, writes the folder.
template <class Answers>
ExitCode evaluate(EvaluateFlags const& flags, OpenedModel const& opened, RecordSourceOptions const& reading,
                  std::optional<NewModelDirectory>& directory, Progress& progress, Answers& answers) {
    auto const report = ask(flags, opened, reading, progress, answers);
    EvaluationOrigin origin;
    origin.model = flags.model.directory.string();
    origin.labels = flags.labels.from.empty() ? flags.labels.table.string() : flags.labels.from;
    origin.unlabelled = answers.unlabelled.rows;
    origin.failed = report.failed + answers.not_finite.rows + answers.no_number.rows;
    if (report.rows == 0 && answers.first_failure) {
        throw Error(answers.first_failure->code(), answers.first_failure->message() + "; nothing else was read");
    }
    if (report.rows == 0) { throw Error(ErrorCode::invalid_argument, "no record of the inputs has given a row"); }
    if (answers.rows.units.empty()) {
        throw Error(ErrorCode::invalid_argument, "none of the " + std::to_string(report.rows) +
                                                     " rows has a label to compare with; a label's name has to be its "
                                                     "record's");
    }
    auto const metrics = score(answers.rows, origin.bootstrap);
    if (directory) {
        directory->fill(
            [&](std::filesystem::path const& folder) { write_evaluation(folder, answers.rows, metrics, origin); });
        directory->commit();
    }
    print_metrics(std::cout, metrics);
    if (!std::cout.flush()) { throw Error(ErrorCode::io, "stdout: could not be written whole"); }
    return origin.failed > 0 ? ExitCode::records_failed : ExitCode::done;
}

ExitCode run(EvaluateFlags const& flags) {
    if (!flags.synthetic.empty()) {
        bool const labels = !flags.labels.table.empty() || !flags.labels.from.empty();
        if (!flags.input.files.empty() || labels || !flags.output.path.empty()) {
            throw Error(ErrorCode::invalid_argument,
                        "--synthetic asks tasks made by rule, and writes a table to stdout: leave INPUT, labels and "
                        "-o out");
        }
        evaluate_synthetic(open_model(flags.model, flags.compute, flags.log), flags.synthetic, flags.examples);
        return ExitCode::done;
    }
    if (flags.input.files.empty()) { throw Error(ErrorCode::invalid_argument, "give INPUT files, or --synthetic"); }
    std::optional<NewModelDirectory> directory;
    if (!flags.output.path.empty()) { directory.emplace(flags.output.path, flags.output.force); }
    if (flags.per_record && flags.input.window.empty()) {
        throw Error(ErrorCode::invalid_argument, "--per-record needs --window");
    }
    OpenedModel const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    check_classifier(*opened.model);
    log_repeated_inputs(flags.log, flags.input.files);
    RecordSourceOptions const reading = source_options(flags.input, opened);
    LabelSource const labels(flags.labels, flags.input.files, reading.input);

    Progress progress(flags.log, flags.input.files);
    auto const& config = opened.model->config();
    if (config.regression) {
        NumberRows answers(progress, labels);
        return evaluate(flags, opened, reading, directory, progress, answers);
    }
    ClassRows answers(progress, labels, config.labels);
    return evaluate(flags, opened, reading, directory, progress, answers);
}

} // namespace

void add_evaluate_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<EvaluateFlags>();
    auto* const command =
        program.add_subcommand("evaluate", "Compare what a model answers with known classes or numbers");
    add_model_options(*command, flags->model);
    add_label_flags(*command, flags->labels);
    add_input_flags(*command, flags->input);
    command->get_option("INPUT")->required(false);
    command
        ->add_option("--synthetic", flags->synthetic,
                     "Ask a language model tasks made by rule instead, as `train` has them: TASK:length=N,...")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("TASK");
    command->add_option("--examples", flags->examples, "Of each --synthetic task")
        ->capture_default_str()
        ->check(CLI::Range(index_t{1}, index_t{1} << 30).description(""));
    add_output_options(*command, flags->output, false, "Folder for tables and a picture of the confusion matrix");
    command->add_flag("--per-record", flags->per_record,
                      "With --window: one row a record, from the mean of its windows' logits");
    add_preprocessor_flags(*command, flags->preprocessor);
    add_compute_options(*command, flags->compute, true);
    add_log_options(*command, flags->log);
    command->footer(
        "Stdout: metric, value, low, high, tab-separated; low and high are a 95 % bootstrap interval over records.\n"
        "The folder of -o: metrics.tsv, confusion.tsv, per_class.tsv, calibration.tsv, coverage.tsv (accuracy where\n"
        "only the surest rows are answered), predictions.tsv, metrics.json, confusion.svg.\n"
        "Records without a label are left out and counted; a class that the model lacks is an error. Of a regression:\n"
        "rmse, mae, r2, pearson, spearman; the folder has metrics.tsv, predictions.tsv, metrics.json.\n"
        "Exit code: 0 all done, 1 some records failed, 2 usage or set-up.\n"
        "\nExample:\n"
        "  strandwave evaluate --model model/ --labels truth.tsv test.fa.gz -o report/");
    command->callback([flags, &result] { result.exit_code = run(*flags); });
}

} // namespace strandwave
