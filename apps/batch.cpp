#include "apps/batch_files.h"
#include "apps/batch_options.h"
#include "apps/commands.h"
#include "apps/interrupt.h"
#include "apps/progress.h"
#include "lib/core/partial_file.h"
#include "pipelines/batch/batch_run.h"
#include "pipelines/batch/batch_summary.h"
#include "pipelines/classify_files.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <unistd.h>

namespace strandwave {
namespace {

Shard parse_shard(std::string const& text, std::string const& by) {
    auto const slash = text.find('/');
    auto const number = [](std::string const& digits) -> index_t {
        bool const good =
            !digits.empty() && digits.size() < 10 && digits.find_first_not_of("0123456789") == digits.npos;
        return good ? std::stoll(digits) : 0;
    };
    Shard shard;
    shard.number = number(text.substr(0, slash)) - 1;
    shard.count = slash == text.npos ? 0 : number(text.substr(slash + 1));
    shard.by_records = by == "records";
    if (shard.count < 1 || shard.number < 0 || shard.number >= shard.count) {
        throw Error(ErrorCode::invalid_argument, "--shard " + text + ": give I/N, with I from 1 to N");
    }
    return shard;
}

ProgressStyle progress_style(BatchFlags const& flags) {
    if (flags.progress == "json") { return ProgressStyle::json; }
    if (flags.progress == "none" || flags.log.quiet) { return ProgressStyle::none; }
    return ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::line : ProgressStyle::log;
}

std::vector<BatchInput> inputs_of(BatchFlags const& flags, bool sound) {
    if (flags.sheet.empty() == flags.input.files.empty()) {
        throw Error(ErrorCode::invalid_argument, "give inputs, or a --sheet of them");
    }
    if (!flags.sheet.empty()) { return read_sample_sheet(flags.sheet); }
    auto inputs = find_inputs(flags.input.files, {sound, flags.paired, flags.folder});
    if (inputs.empty()) {
        throw Error(ErrorCode::not_found, std::string("the folders hold no file of ") + (sound ? "sound" : "DNA"));
    }
    return inputs;
}

/// Options that decide how a run goes, and not what it writes.
bool concerns_the_run_only(std::string const& option) {
    static std::set<std::string> const names = {
        "output",     "sheet",     "resume",     "force", "shard", "shard-by", "threads", "progress", "quiet",
        "max-memory", "fail-fast", "keep-going", "help",  "chunk", "INPUT",    "device",  "paired"};
    return names.contains(option);
}

/// What was asked for, in words of the command line: for the headers of outputs, and for --resume to compare.
JobSettings given_settings(CLI::App const& command) {
    JobSettings settings;
    for (auto const* const option : command.get_options()) {
        auto name = option->get_single_name();
        if (option->count() == 0 || concerns_the_run_only(name)) { continue; }
        std::string const between(1, option->get_delimiter() == '\0' ? ' ' : option->get_delimiter());
        std::string value;
        for (auto const& word : option->results()) {
            value += (value.empty() ? "" : between) + word;
        }
        settings["--" + name] = value;
    }
    return settings;
}

std::string command_line(JobSettings const& given) {
    std::string line = "strandwave batch";
    for (auto const& [name, value] : given) {
        line += " " + name + (value.empty() || value == "true" ? "" : " " + value);
    }
    return line;
}

BatchJob make_job(BatchFlags const& flags, CLI::App const& command, OpenedModel const& opened) {
    bool const classify = flags.task == "classify";
    auto const& config = opened.model->config();
    if (classify) { check_classifier(config); }
    BatchJob job;
    job.outputs.sound = opened.preprocessor.input != InputKind::dna;
    job.inputs = inputs_of(flags, job.outputs.sound);
    job.source = source_options(flags.input, opened);
    job.outputs.folder = flags.folder;
    for (auto const& format : flags.formats) {
        job.outputs.formats.push_back(parse_output_format(format));
    }
    if (flags.formats.empty()) { job.outputs.formats = {classify ? OutputFormat::tsv : OutputFormat::npy}; }
    job.outputs.bgzf = flags.bgzf;
    job.outputs.probabilities = flags.probabilities;
    job.outputs.interleaved = flags.input.interleaved;
    if (classify) { job.outputs.labels = config.labels; }
    job.outputs.d_model = config.d_model;
    job.outputs.reading = job.source.input.sequence;
    job.outputs.version = STRANDWAVE_VERSION;
    job.run.chunk = opened.chunk;
    job.run.pooling = opened.preprocessor.pooling;
    job.run.layer = flags.layer;
    job.run.logits = classify;
    job.run.per_record = flags.per_record;
    job.min_probability = flags.min_probability;
    job.shard = parse_shard(flags.shard, flags.shard_by);
    job.fail_fast = flags.fail_fast;

    job.settings = given_settings(command);
    job.outputs.command = command_line(job.settings);
    job.settings.erase("--model"); // known by what is in it
    job.settings["strandwave"] = STRANDWAVE_VERSION;
    job.settings["model"] = model_fingerprint(flags.model.directory);
    job.settings["preprocessor"] = preprocessor_json(opened.preprocessor);
    job.settings["dtype"] = dtype_name(opened.model->dtype());
    job.settings["device"] = opened.model->device().is_gpu() ? "cuda" : "cpu";
    return job;
}

/// Options of the other task would be without effect, or worse.
void check_task(BatchFlags const& flags) {
    auto const refuse = [&flags](bool given, std::string const& option, std::string const& task) {
        if (!given || flags.task == task) { return; }
        throw Error(ErrorCode::invalid_argument, option + " is for --task " + task);
    };
    refuse(flags.probabilities, "--probabilities", "classify");
    refuse(flags.min_probability > 0, "--min-probability", "classify");
    refuse(flags.bgzf, "--bgzf", "classify");
    refuse(flags.layer != kFinalNorm, "--layer", "embed");
}

void check(BatchFlags const& flags, BatchJob const& job) {
    check_task(flags);
    bool const windows = !flags.input.window.empty();
    if (flags.per_record && !windows) { throw Error(ErrorCode::invalid_argument, "--per-record needs --window"); }
    auto const& formats = job.outputs.formats;
    if (windows && !flags.per_record && std::any_of(formats.begin(), formats.end(), copies_records)) {
        throw Error(ErrorCode::invalid_argument,
                    "--format bam, cram and split have one label a record: add --per-record");
    }
}

void refuse_a_used_folder(BatchFlags const& flags) {
    bool const used = BatchJournal::is_at(flags.folder / kJournalName);
    if (!used || flags.resume || flags.force) { return; }
    throw Error(ErrorCode::already_exists,
                flags.folder.string() + ": holds a batch; --resume goes on with it, --force begins it anew");
}

std::vector<std::filesystem::path> files_to_read(BatchRun const& batch) {
    std::vector<std::filesystem::path> files;
    for (index_t const index : batch.todo()) {
        files.push_back(batch.job().inputs[static_cast<std::size_t>(index)].path);
    }
    return files;
}

void log_plan(LogOptions const& log, BatchRun const& batch) {
    auto const count = batch.todo().size();
    auto line = std::to_string(count) + (count == 1 ? " input" : " inputs");
    if (batch.complete() > 0) { line += ", " + std::to_string(batch.complete()) + " more are complete"; }
    log_line(log, line);
}

ExitCode run_batch(BatchFlags const& flags, CLI::App const& command) {
    refuse_a_used_folder(flags);
    auto const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    auto job = make_job(flags, command, opened);
    check(flags, job);
    std::optional<Progress> progress;
    job.notice = job.run.notice = [&](std::string const& line) {
        if (progress) { progress->clear(); }
        log_line(flags.log, line);
    };
    BatchRun batch(std::move(job), flags.resume);
    log_plan(flags.log, batch);

    RunFigures figures;
    progress.emplace(progress_style(flags), files_to_read(batch));
    LoggingListener listener(*progress);
    RunReport report;
    try {
        report = batch.run(opened.replicas, *opened.threads, listener);
    } catch (FailedFast const&) {
        progress->clear();
        log_line(flags.log, "stopped at the first failure; --resume goes on");
        return ExitCode::records_failed;
    } catch (Interrupted const&) {
        progress->clear();
        log_line(flags.log, "interrupted; --resume goes on");
        throw;
    }
    progress->finish(report);
    progress->clear();
    figures.end(report);
    auto const totals = batch_totals(batch.job().inputs, batch.journal());
    report.failed = totals.tally.failed; // of earlier runs too, and of outputs
    write_batch_tables(flags.folder, batch.job().inputs, batch.job().outputs.labels, batch.journal());
    if (!batch.todo().empty() || !std::filesystem::exists(flags.folder / "run.json")) {
        write_run_json(flags.folder, batch.job(), totals, opened, flags.model.directory, figures);
        sync_file_system(flags.folder);
        log_summary(flags.log, report, figures.seconds);
        if (report.positions > 0) {
            auto const waited = std::lround(100 * figures.wait_share);
            log_line(flags.log, "the model waited for data " + std::to_string(waited) + " % of the time");
        }
    }
    if (report.failed > 0) {
        log_line(flags.log, "what failed is listed in " + (flags.folder / "failures.tsv").string());
    }
    return exit_code(report);
}

} // namespace

void add_batch_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<BatchFlags>();
    auto* const command =
        program.add_subcommand("batch", "Classify or embed many files into a folder; can be stopped and gone on with");
    add_batch_options(*command, *flags);
    command->callback([flags, command, &result] { result.exit_code = run_batch(*flags, *command); });
}

} // namespace strandwave
