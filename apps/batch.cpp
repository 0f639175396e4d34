#include "apps/batch_files.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/progress.h"
#include "pipelines/batch/batch_run.h"
#include "pipelines/batch/batch_summary.h"
#include "pipelines/classify_files.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <unistd.h>

namespace strandwave {
namespace {

struct BatchFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    LogOptions log;
    std::filesystem::path folder, sheet;
    std::string task;
    std::vector<std::string> formats;
    bool bgzf = false;
    bool probabilities = false;
    double min_probability = 0;
    bool per_record = false;
    index_t layer = kFinalNorm;
    bool paired = false;
    bool fail_fast = false;
    bool resume = false;
    bool force = false;
    std::string shard = "1/1";
    std::string shard_by = "files";
    std::string progress = "auto";
};

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
        std::string value;
        for (auto const& word : option->results()) {
            value += (value.empty() ? "" : " ") + word;
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

void check(BatchFlags const& flags, BatchJob const& job) {
    bool const whole_records = std::any_of(job.outputs.formats.begin(), job.outputs.formats.end(), [](auto format) {
        return format == OutputFormat::bam || format == OutputFormat::cram || format == OutputFormat::split;
    });
    bool const windows = !flags.input.window.empty();
    if (flags.per_record && !windows) { throw Error(ErrorCode::invalid_argument, "--per-record needs --window"); }
    if (whole_records && windows && !flags.per_record) {
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

ExitCode run_batch(BatchFlags const& flags, CLI::App const& command) {
    refuse_a_used_folder(flags);
    auto const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    auto job = make_job(flags, command, opened);
    check(flags, job);
    job.notice = [&flags](std::string const& line) { log_line(flags.log, line); };

    std::vector<std::filesystem::path> files;
    std::unique_ptr<Progress> progress;
    job.run.notice = [&](std::string const& line) {
        if (progress) { progress->clear(); }
        log_line(flags.log, line);
    };
    BatchRun batch(std::move(job), flags.resume);
    for (index_t const index : batch.todo()) {
        files.push_back(batch.job().inputs[static_cast<std::size_t>(index)].path);
    }
    log_line(flags.log,
             std::to_string(files.size()) + " inputs" +
                 (batch.complete() > 0 ? ", " + std::to_string(batch.complete()) + " more are complete" : ""));
    RunFigures figures;
    progress = std::make_unique<Progress>(progress_style(flags), files);
    LoggingListener listener(*progress);
    RunReport report;
    bool failed_fast = false;
    try {
        report = batch.run(opened.replicas, *opened.threads, listener);
    } catch (FailedFast const&) { failed_fast = true; }
    progress->finish(report);
    progress->clear();
    if (failed_fast) {
        log_line(flags.log, "stopped at the first failure; --resume goes on");
        return ExitCode::records_failed;
    }
    figures.end(report);
    write_batch_tables(flags.folder, batch.job().inputs, batch.job().outputs.labels, batch.journal());
    write_run_json(flags.folder, batch, opened, flags.model.directory, figures);
    log_summary(flags.log, report, progress->seconds());
    log_line(flags.log,
             "the model waited for data " + std::to_string(std::lround(100 * figures.wait_share)) + " % of the time");
    auto const totals = batch_totals(batch.job().inputs, batch.journal());
    return totals.tally.failed > 0 ? ExitCode::records_failed : ExitCode::done;
}

void add_output_flags(CLI::App& command, BatchFlags& flags) {
    auto const group = "Output";
    command.add_option("-O,--output", flags.folder, "Folder for all outputs; made if it is not there")
        ->required()
        ->type_name("DIR")
        ->group(group);
    command
        .add_option("--format", flags.formats,
                    "What each input becomes, several parted by commas. classify: tsv (default), jsonl, bed, audacity, "
                    "bam, cram, split; embed: npy (default), npz, h5, h5ad")
        ->delimiter(',')
        ->type_name("LIST")
        ->group(group);
    command.add_flag("--bgzf", flags.bgzf, "Compress text outputs with BGZF (.gz)")->group(group);
    command.add_flag("--probabilities", flags.probabilities, "Add the probability of every class to tables")
        ->group(group);
    command
        .add_option("--min-probability", flags.min_probability,
                    "Report a best class below this (0 to 1) as unclassified (default: 0)")
        ->type_name("P")
        ->check(CLI::Range(0.0, 1.0).description(""))
        ->group(group);
    command.add_flag("--per-record", flags.per_record, "With --window: one row a record, from all its windows")
        ->group(group);
    command
        .add_option(
            "--layer", flags.layer,
            "embed: take the residual stream after K layers, 0 the embedding (default: the final norm's output)")
        ->type_name("K")
        ->check(CLI::Range(index_t{0}, index_t{1} << 20).description(""))
        ->group(group);
}

void add_job_flags(CLI::App& command, BatchFlags& flags) {
    auto const group = "Job";
    auto* const fail_fast =
        command.add_flag("--fail-fast", flags.fail_fast, "Stop at the first record or file that fails")->group(group);
    command
        .add_flag_function(
            "--keep-going", [](std::int64_t) {}, "Report what fails and go on with the rest (default)")
        ->excludes(fail_fast)
        ->group(group);
    auto* const resume =
        command.add_flag("--resume", flags.resume, "Go on with the batch in the output folder")->group(group);
    command.add_flag("--force", flags.force, "Begin the batch in the output folder anew")
        ->excludes(resume)
        ->group(group);
    command.add_option("--shard", flags.shard, "Do part I of N, counted from 1; `strandwave merge` joins the parts")
        ->type_name("I/N")
        ->capture_default_str()
        ->group(group);
    command
        .add_option("--shard-by", flags.shard_by,
                    "files: whole inputs; records: pieces of every input, which each part then reads from its begin")
        ->check(CLI::IsMember({"files", "records"}))
        ->capture_default_str()
        ->group(group);
    command
        .add_option("--progress", flags.progress,
                    "On stderr: auto (a line on a terminal, else a line every 30 s), json (an object every 5 s), none")
        ->check(CLI::IsMember({"auto", "json", "none"}))
        ->capture_default_str()
        ->group(group);
}

} // namespace

void add_batch_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<BatchFlags>();
    auto* const command =
        program.add_subcommand("batch", "Classify or embed many files into a folder; can be stopped and gone on with");
    add_model_options(*command, flags->model);
    command->add_option("--task", flags->task, "What is done with each file")
        ->required()
        ->check(CLI::IsMember({"classify", "embed"}));
    add_input_flags(*command, flags->input);
    auto* const input = command->get_option("INPUT");
    input->required(false)->description("Files, folders (searched for files of the model's kind) or quoted patterns");
    command->remove_option(command->get_option("--limit"));
    command
        ->add_option("--sheet", flags->sheet,
                     "Table of inputs with a header line: path, and as wanted mate, sample (names outputs), label")
        ->type_name("FILE.tsv")
        ->excludes(input);
    command
        ->add_flag("--paired", flags->paired,
                   "Files that differ by _R1 and _R2, or _1 and _2, are mates: one row a pair")
        ->group("Input");
    add_output_flags(*command, *flags);
    add_job_flags(*command, *flags);
    add_preprocessor_flags(*command, flags->preprocessor);
    add_compute_options(*command, flags->compute, true);
    add_log_options(*command, flags->log);
    command->footer(
        "The folder gets the outputs of each input, summary.tsv (a row an input), failures.tsv, run.json and\n"
        "journal.jsonl, which --resume and merge read. Outputs do not depend on threads, chunks or shards.\n"
        "Exit code: 0 all done, 1 some records or files failed, 2 usage or set-up, 130 or 143 interrupted.\n"
        "\nExample:\n"
        "  strandwave batch --model model/ --task classify runs/ --format tsv,bam -O classes/");
    command->callback([flags, command, &result] { result.exit_code = run_batch(*flags, *command); });
}

} // namespace strandwave
