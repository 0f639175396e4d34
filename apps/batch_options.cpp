#include "apps/batch_options.h"

#include <CLI/CLI.hpp>
#include <cstdint>

namespace strandwave {
namespace {

void add_output_flags(CLI::App& command, BatchFlags& flags) {
    auto const group = "Output";
    command.add_option("-O,--output", flags.folder, "Folder for all outputs; made if it is not there")
        ->required()
        ->check(empty_name)
        ->type_name("DIR")
        ->group(group);
    command
        .add_option("--format", flags.formats,
                    "What each input becomes, several parted by commas. classify: tsv (default), jsonl, bed, audacity, "
                    "bam, cram, split; embed: npy (default), npz, h5, h5ad")
        ->delimiter(',')
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false) // no INPUT behind it is one of the list
        ->type_name("LIST")
        ->group(group);
    command.add_flag("--bgzf", flags.bgzf, "Compress text outputs with BGZF (.gz)")->group(group);
    command.add_flag("--probabilities", flags.probabilities, "Add the probability of every class to tables")
        ->group(group);
    command
        .add_option("--min-probability", flags.min_probability,
                    "Report a best class below this (0 to 1) as unclassified (default: 0)")
        ->type_name("P")
        ->check(number_in(0.0, 1.0))
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

void add_batch_options(CLI::App& command, BatchFlags& flags) {
    add_model_options(command, flags.model);
    command.add_option("--task", flags.task, "What is done with each file")
        ->required()
        ->check(CLI::IsMember({"classify", "embed"}));
    add_input_flags(command, flags.input);
    auto* const input = command.get_option("INPUT");
    input->required(false)->description("Files, folders (searched for files of the model's kind) or quoted patterns");
    command.remove_option(command.get_option("--limit"));
    command
        .add_option("--sheet", flags.sheet,
                    "Table of inputs with a header line: path, and as wanted mate, sample (names outputs), label")
        ->type_name("FILE.tsv")
        ->excludes(input);
    command
        .add_flag("--paired", flags.paired, "Files that differ by _R1 and _R2, or _1 and _2, are mates: one row a pair")
        ->group("Input");
    add_output_flags(command, flags);
    add_job_flags(command, flags);
    add_preprocessor_flags(command, flags.preprocessor);
    add_compute_options(command, flags.compute, true);
    add_log_options(command, flags.log);
    command.footer(
        "The folder gets the outputs of each input, summary.tsv (a row an input), failures.tsv, run.json and\n"
        "journal.jsonl, which --resume and merge read. Outputs do not depend on threads, chunks or shards.\n"
        "Exit code: 0 all done, 1 some records or files failed, 2 usage or set-up, 130 or 143 interrupted.\n"
        "\nExample:\n"
        "  strandwave batch --model model/ --task classify runs/ --format tsv,bam -O classes/");
}

} // namespace strandwave
