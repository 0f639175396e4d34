#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output_path.h"
#include "apps/progress.h"
#include "pipelines/classify_files.h"
#include "pipelines/output_file.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace strandwave {
namespace {

struct ClassifyFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    OutputOptions output;
    LogOptions log;
    std::string format = "tsv";
    bool probabilities = false;
    bool per_record = false;
    double min_probability = 0;
};

void log_classes(LogOptions const& log, ClassifyReport const& report, std::vector<std::string> const& labels) {
    std::string line;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        if (report.class_rows[i] > 0) { line += ", " + labels[i] + " " + std::to_string(report.class_rows[i]); }
    }
    if (report.unclassified > 0) {
        line += ", " + std::string(kUnclassified) + " " + std::to_string(report.unclassified);
    }
    if (!line.empty()) { log_line(log, "classes: " + line.substr(2)); }
}

/// Ends the run when the table cannot be written any more, and not only behind the last input.
class TableListener final : public LoggingListener {
public:
    TableListener(Progress& progress, std::ostream const& table, std::string name)
        : LoggingListener(progress), table_(table), name_(std::move(name)) {}

    void progress(RunReport const& report) override {
        if (!table_) { throw Error(ErrorCode::io, name_ + ": could not be written whole; is the disk full?"); }
        LoggingListener::progress(report);
    }

private:
    std::ostream const& table_;
    std::string name_;
};

void check_flags(ClassifyFlags const& flags, ModelConfig const& config) {
    if (flags.per_record && flags.input.window.empty()) {
        throw Error(ErrorCode::invalid_argument, "--per-record needs --window");
    }
    if (config.regression && (flags.probabilities || flags.min_probability > 0)) {
        throw Error(ErrorCode::invalid_argument,
                    "the model gives a number (problem_type is regression), which has no probability: leave out "
                    "--probabilities and --min-probability");
    }
}

ExitCode run_classify(ClassifyFlags const& flags) {
    bool const to_stdout = flags.output.path.empty() || flags.output.path == "-";
    if (!to_stdout) { check_output_file(flags.output.path, flags.output.force, flags.input.files); }
    auto const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    log_repeated_inputs(flags.log, flags.input.files);
    auto const& config = opened.model->config();
    check_flags(flags, config);

    ClassifyOptions options;
    options.run.chunk = opened.chunk;
    options.run.pooling = opened.preprocessor.pooling;
    options.run.per_record = flags.per_record;
    options.min_probability = flags.min_probability;

    RecordSource source(flags.input.files, source_options(flags.input, opened));
    std::optional<OutputFile> file;
    if (!to_stdout) { file.emplace(flags.output.path); }
    auto& stream = file ? file->stream() : std::cout;
    auto const format = flags.format == "jsonl" ? TableFormat::jsonl : TableFormat::tsv;
    Progress progress(flags.log, flags.input.files);
    options.run.notice = [&](std::string const& line) {
        progress.clear();
        log_line(flags.log, line);
    };
    TableListener listener(progress, stream, file ? flags.output.path.string() : "stdout");
    ClassifyReport report;
    if (config.regression) {
        ValueTable const table(format, source.reads_sound());
        report.run = predict_files(source, opened.replicas, *opened.threads, options.run, table, stream, listener);
    } else {
        ClassTable const table(format, config.labels, flags.probabilities, source.reads_sound());
        report = classify_files(source, opened.replicas, *opened.threads, options, table, stream, listener);
    }
    progress.clear();
    if (file) { file->commit(); }
    if (!file && !std::cout.flush()) { throw Error(ErrorCode::io, "stdout: could not be written whole"); }
    log_summary(flags.log, report.run, progress.seconds());
    if (!config.regression) { log_classes(flags.log, report, config.labels); }
    return exit_code(report.run);
}

} // namespace

void add_classify_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<ClassifyFlags>();
    auto* const command = program.add_subcommand("classify", "Say which class each record, or window, belongs to");
    add_model_options(*command, flags->model);
    add_input_flags(*command, flags->input);
    add_output_options(*command, flags->output, false, "Table to write (default: stdout)");
    command->add_option("--format", flags->format, "Of the table")
        ->check(CLI::IsMember({"tsv", "jsonl"}))
        ->capture_default_str();
    command->add_flag("--probabilities", flags->probabilities, "Add the probability of every class");
    command->add_flag("--per-record", flags->per_record,
                      "With --window: one row a record, from the mean of its windows' logits");
    command
        ->add_option("--min-probability", flags->min_probability,
                     "Report a best class below this (0 to 1) as unclassified (default: 0)")
        ->type_name("P")
        ->check(number_in(0.0, 1.0));
    add_preprocessor_flags(*command, flags->preprocessor);
    add_compute_options(*command, flags->compute, true);
    add_log_options(*command, flags->log);
    command->footer(
        "Rows: name, start, end, label, probability. start and end are 0-based and half-open, in bases or\n"
        "samples of the source record. A recording's name is its file.\n"
        "Probability is the softmax of the logits; the sigmoid if the model has a single class. A regression gives\n"
        "`value` in place of label and probability, in the units of the labels that it learnt.\n"
        "Exit code: 0 all done, 1 some records failed, 2 usage or set-up.\n"
        "\nExample:\n"
        "  strandwave classify --model model/ --window 4096 --min-probability 0.8 reads.fastq.gz > classes.tsv");
    command->callback([flags, &result] { result.exit_code = run_classify(*flags); });
}

} // namespace strandwave
