#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/evaluate_report.h"
#include "apps/evaluate_synthetic.h"
#include "apps/label_flags.h"
#include "apps/model_directory.h"
#include "apps/progress.h"
#include "lib/core/error.h"
#include "pipelines/classify_files.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <utility>

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

/// Rows that are left out: how many, and the name of the first.
struct LeftOut {
    index_t rows = 0;
    std::string first;

    void add(Unit const& unit) {
        if (rows++ == 0) { first = unit.name; }
    }
};

/// What the model says of each row whose class is known.
class Answers final : public LoggingListener {
public:
    Answers(Progress& progress, LabelSource const& labels, std::vector<std::string> classes)
        : LoggingListener(progress), labels_(labels) {
        rows.classes = std::move(classes);
    }

    void result(UnitResult const& result) override {
        auto const label = labels_.label(result.unit);
        if (!label) {
            unlabelled.add(result.unit);
            return;
        }
        auto const known = std::find(rows.classes.begin(), rows.classes.end(), *label);
        if (known == rows.classes.end()) {
            unknown_.insert(*label);
            return;
        }
        auto const probabilities = class_probabilities(result.vector);
        if (!std::all_of(probabilities.begin(), probabilities.end(), [](double p) { return std::isfinite(p); })) {
            not_finite.add(result.unit);
            return;
        }
        rows.units.push_back(result.unit);
        rows.truth.push_back(static_cast<std::int32_t>(known - rows.classes.begin()));
        rows.probabilities.insert(rows.probabilities.end(), probabilities.begin(), probabilities.end());
        rows.records.push_back(result.unit.record);
    }

    void progress(RunReport const& report) override {
        if (std::exchange(found_unknown_, !unknown_.empty())) { refuse_unknown_labels(); }
        LoggingListener::progress(report);
    }

    /// A feed after the first unknown label, so that a long run does not go on for nothing, and a short one names all.
    void refuse_unknown_labels() const {
        if (unknown_.empty()) { return; }
        std::string names;
        for (auto const& name : unknown_) {
            names += (names.empty() ? "'" : ", '") + name + "'";
        }
        std::string known;
        for (auto const& name : rows.classes) {
            known += (known.empty() ? "" : ", ") + name;
        }
        throw Error(ErrorCode::not_found,
                    "the model has no class " + names + " that the labels name; it knows " + known);
    }

    EvaluatedRows rows;
    LeftOut unlabelled, not_finite;

private:
    LabelSource const& labels_;
    std::set<std::string> unknown_;
    bool found_unknown_ = false;
};

void check_classifier(Model const& model) {
    if (model.config().head != HeadKind::classifier) {
        throw Error(ErrorCode::unsupported, "the model has no classifier head, so there is nothing to evaluate");
    }
    if (model.config().labels.size() < 2) {
        throw Error(ErrorCode::unsupported, "the model has a single class; evaluate needs two or more to tell apart");
    }
}

void report_left_out(LogOptions const& log, Answers const& answers) {
    if (answers.unlabelled.rows > 0) {
        log_line(log, std::to_string(answers.unlabelled.rows) + " rows left out: no class is known for them (" +
                          answers.unlabelled.first + " is the first)");
    }
    if (answers.not_finite.rows > 0) {
        log_error(std::to_string(answers.not_finite.rows) + " rows left out: their logits are not finite (" +
                  answers.not_finite.first + " is the first)");
    }
}

ExitCode run(EvaluateFlags const& flags) {
    if (!flags.synthetic.empty()) {
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
    RecordSourceOptions const reading = source_options(flags.input, opened);
    LabelSource const labels(flags.labels, flags.input.files, reading.input);

    RecordSource source(flags.input.files, reading);
    UnitRunOptions how;
    how.chunk = opened.chunk;
    how.pooling = opened.preprocessor.pooling;
    how.logits = true;
    how.per_record = flags.per_record;
    Progress progress(flags.log, flags.input.files);
    how.notice = [&](std::string const& line) {
        progress.clear();
        log_line(flags.log, line);
    };
    Answers answers(progress, labels, opened.model->config().labels);
    RunReport const report = run_units(source, opened.replicas, *opened.threads, how, answers);
    progress.clear();
    answers.refuse_unknown_labels();
    log_summary(flags.log, report, progress.seconds());
    report_left_out(flags.log, answers);
    if (answers.rows.units.empty()) {
        throw Error(ErrorCode::invalid_argument, "none of the " + std::to_string(report.rows) +
                                                     " rows has a class to compare with; a label's name has to be its "
                                                     "record's");
    }

    EvaluationOrigin origin;
    origin.model = flags.model.directory.string();
    origin.labels = flags.labels.from.empty() ? flags.labels.table.string() : flags.labels.from;
    origin.unlabelled = answers.unlabelled.rows;
    origin.failed = report.failed + answers.not_finite.rows;
    auto const metrics = classification_metrics(answers.rows.scored(), origin.bootstrap);
    if (directory) {
        write_evaluation(directory->staging(), answers.rows, metrics, origin);
        directory->commit();
    }
    print_metrics(std::cout, metrics);
    if (!std::cout.flush()) { throw Error(ErrorCode::io, "stdout: could not be written whole"); }
    return origin.failed > 0 ? ExitCode::records_failed : ExitCode::done;
}

} // namespace

void add_evaluate_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<EvaluateFlags>();
    auto* const command = program.add_subcommand("evaluate", "Compare a classifier's answers with known classes");
    add_model_options(*command, flags->model);
    add_label_flags(*command, flags->labels);
    add_input_flags(*command, flags->input);
    command->get_option("INPUT")->required(false);
    command
        ->add_option("--synthetic", flags->synthetic,
                     "Ask a language model tasks made by rule instead, as `train` has them: TASK:length=N,...")
        ->expected(1)
        ->take_all()
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
        "Records without a class are left out and counted; a class that the model lacks is an error.\n"
        "Exit code: 0 all done, 1 some records failed, 2 usage or set-up.\n"
        "\nExample:\n"
        "  strandwave evaluate --model model/ --labels truth.tsv test.fa.gz -o report/");
    command->callback([flags, &result] { result.exit_code = run(*flags); });
}

} // namespace strandwave
