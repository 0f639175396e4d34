#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/label_flags.h"
#include "apps/model_directory.h"
#include "apps/output_path.h"
#include "apps/progress.h"
#include "apps/starting_model.h"
#include "lib/core/error.h"
#include "lib/model/linear_probe.h"
#include "lib/model/nearest_neighbours.h"
#include "pipelines/record_labels.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

namespace strandwave {
namespace {

struct ProbeFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    LabelOptions labels;
    OutputOptions output;
    LogOptions log;
    LinearProbeOptions fit;
    index_t neighbours = 0;
};

/// Pooled vectors of all records that have a class.
class Embeddings final : public LoggingListener {
public:
    Embeddings(Progress& progress, LabelSource const& labels) : LoggingListener(progress), labels_(labels) {}

    /// A head fitted to a part of its files would pass for one of all of them, so nothing more is read.
    void failure(UnitFailure const& failure) override {
        if (failure.file_broken) {
            throw Error(failure.error.code(),
                        failure.error.message() + "; mend the file or leave it out: nothing was fitted");
        }
        LoggingListener::failure(failure);
    }

    void result(UnitResult const& result) override {
        auto const label = labels_.label(result.unit);
        if (!label) {
            ++unlabelled_;
            first_unlabelled_ = first_unlabelled_.empty() ? result.unit.name : first_unlabelled_;
            return;
        }
        names_.push_back(*label);
        records_.push_back(result.unit.record);
        width_ = static_cast<index_t>(result.vector.size());
        values_.insert(values_.end(), result.vector.begin(), result.vector.end());
    }

    /// The classes in alphabetical order.
    std::vector<std::string> classes() const {
        std::set<std::string> const sorted(names_.begin(), names_.end());
        return {sorted.begin(), sorted.end()};
    }

    std::vector<std::int32_t> labels(std::vector<std::string> const& classes) const {
        std::vector<std::int32_t> numbers;
        for (auto const& name : names_) {
            auto const place = std::lower_bound(classes.begin(), classes.end(), name);
            numbers.push_back(static_cast<std::int32_t>(place - classes.begin()));
        }
        return numbers;
    }

    View<float const, 2> features() const { return {values_.data(), static_cast<index_t>(names_.size()), width_}; }
    std::vector<index_t> const& records() const noexcept { return records_; }
    index_t unlabelled() const noexcept { return unlabelled_; }
    std::string const& first_unlabelled() const noexcept { return first_unlabelled_; }

private:
    LabelSource const& labels_;
    std::vector<std::string> names_;
    std::vector<index_t> records_;
    std::vector<float> values_;
    index_t width_ = 0;
    index_t unlabelled_ = 0;
    std::string first_unlabelled_;
};

/// How many of the held-out rows the `count` nearest of the fitted ones answer right.
index_t right_by_neighbours(LinearProbe const& probe, View<float const, 2> features,
                            std::vector<std::int32_t> const& labels, index_t count) {
    auto const answers = nearest_neighbours(features, labels, probe.fitted_rows, probe.validation_rows, count);
    index_t right = 0;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        right += answers[i] == labels[static_cast<std::size_t>(probe.validation_rows[i])] ? 1 : 0;
    }
    return right;
}

void print_line(std::string const& part, index_t correct, std::vector<index_t> const& rows) {
    std::printf("%s\t%zu\t%lld\t%.4f\n", part.c_str(), rows.size(), static_cast<long long>(correct),
                static_cast<double>(correct) / static_cast<double>(rows.size()));
}

void print_confusion(LinearProbe const& probe, std::vector<std::string> const& classes) {
    std::printf("\nheld out: true\\predicted");
    for (auto const& name : classes) {
        std::printf("\t%s", name.c_str());
    }
    for (std::size_t truth = 0; truth < classes.size(); ++truth) {
        std::printf("\n%s", classes[truth].c_str());
        for (std::size_t answer = 0; answer < classes.size(); ++answer) {
            std::printf("\t%lld", static_cast<long long>(probe.confusion[truth * classes.size() + answer]));
        }
    }
    std::printf("\n");
}

ExitCode run(ProbeFlags const& flags) {
    check_not_the_model(flags.output.path, flags.model.directory);
    NewModelDirectory directory(flags.output.path, flags.output.force);
    OpenedModel const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    log_repeated_inputs(flags.log, flags.input.files);
    RecordSourceOptions const reading = source_options(flags.input, opened);
    LabelSource const labels(flags.labels, flags.input.files, reading.input);

    RecordSource source(flags.input.files, reading);
    UnitRunOptions how;
    how.chunk = opened.chunk;
    how.pooling = opened.preprocessor.pooling;
    Progress progress(flags.log, flags.input.files);
    how.notice = [&](std::string const& line) {
        progress.clear();
        log_line(flags.log, line);
    };
    Embeddings embeddings(progress, labels);
    RunReport const report = run_units(source, opened.model, *opened.threads, how, embeddings);
    progress.clear();
    log_summary(flags.log, report, progress.seconds());
    if (embeddings.unlabelled() > 0) {
        log_line(flags.log, std::to_string(embeddings.unlabelled()) + " rows left out: no class is known for them (" +
                                embeddings.first_unlabelled() + " is the first)");
    }

    auto const classes = embeddings.classes();
    if (report.rows == 0 && report.failed == 0) {
        throw Error(ErrorCode::invalid_argument, "no record of the inputs has given a row");
    }
    if (classes.size() < 2) {
        throw Error(ErrorCode::invalid_argument, "a probe needs records of two classes or more; " +
                                                     std::to_string(classes.size()) + " found" +
                                                     failed_text(report.failed));
    }
    LinearProbeOptions fit = flags.fit;
    fit.groups = embeddings.records();
    auto const truth = embeddings.labels(classes);
    auto const probe = fit_linear_probe(embeddings.features(), truth, static_cast<index_t>(classes.size()), fit);

    directory.fill([&](std::filesystem::path const& folder) {
        write_classifier_config(flags.model.directory, folder, classes);
        write_classifier_weights(flags.model.directory, folder, probe.weight, probe.bias);
        write_preprocessor_config(folder, opened.preprocessor);
    });
    directory.commit();
    std::printf("split\trecords\tcorrect\taccuracy\n");
    print_line("fitted", probe.fitted_correct, probe.fitted_rows);
    print_line("held out", probe.validation_correct, probe.validation_rows);
    if (flags.neighbours > 0) {
        print_line("held out, neighbours", right_by_neighbours(probe, embeddings.features(), truth, flags.neighbours),
                   probe.validation_rows);
    }
    print_confusion(probe, classes);
    log_line(flags.log, "lambda " + std::to_string(probe.lambda) + "; model written to " + flags.output.path.string());
    return exit_code(report);
}

} // namespace

void add_probe_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<ProbeFlags>();
    CLI::App* command =
        program.add_subcommand("probe", "Fit a linear classification head on a model's frozen, pooled embeddings");
    add_model_options(*command, flags->model);
    add_label_flags(*command, flags->labels);
    command->add_option("--validation", flags->fit.validation, "Share of every class that is held out (0 to 1)")
        ->check(number_in(0.001, 0.999))
        ->capture_default_str();
    command->add_option("--seed", flags->fit.seed, "Of the split")->check(unfit_seed)->capture_default_str();
    command
        ->add_option("--neighbours", flags->neighbours,
                     "Also ask the K nearest of the fitted records about each held-out one (cosine, majority vote); "
                     "0: no")
        ->type_name("K")
        ->check(CLI::Range(index_t{0}, index_t{1} << 30).description(""))
        ->capture_default_str();
    add_input_flags(*command, flags->input);
    add_output_options(*command, flags->output, true, "Model directory to write");
    add_preprocessor_flags(*command, flags->preprocessor);
    add_compute_options(*command, flags->compute);
    add_log_options(*command, flags->log);
    command->footer(
        "Multinomial logistic regression on standardised features with an L2 penalty; the held-out records choose the\n"
        "penalty and the iteration, so their accuracy is a little optimistic: test on data of its own. Windows of one\n"
        "record are never split. The new directory classifies by itself and keeps the input policies given here.\n"
        "Stdout: accuracies and the held-out confusion matrix, tab-separated.\n"
        "Exit code: 0 all done, 1 some records failed, 2 usage or set-up, or a file that cannot be read whole.\n"
        "\nExample:\n"
        "  strandwave probe --model model/ --labels-from folder species/*/*.fa.gz --window 1000 -o classifier/");
    command->callback([flags, &result] { result.exit_code = run(*flags); });
}

} // namespace strandwave
