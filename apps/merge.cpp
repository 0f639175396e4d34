#include "apps/batch_files.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output_path.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"
#include "pipelines/batch/batch_summary.h"
#include "pipelines/batch/join_embeddings.h"
#include "pipelines/batch/merge_shards.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace strandwave {
namespace {

struct MergeFlags {
    std::vector<std::filesystem::path> shards;
    std::filesystem::path folder;
    std::filesystem::path file;
    bool force = false;
    LogOptions log;
};

ExitCode merge_folders(MergeFlags const& flags) {
    if (BatchJournal::is_at(flags.folder / kJournalName) && !flags.force) {
        throw Error(ErrorCode::already_exists, flags.folder.string() + ": holds a batch; --force replaces it");
    }
    auto const journal = merge_shards(flags.shards, flags.folder);
    auto const& header = journal->header();
    write_batch_tables(flags.folder, header.inputs, header.outputs.labels, *journal);
    auto const totals = batch_totals(header.inputs, *journal);
    write_merged_run_json(flags.folder, flags.shards, totals);
    journal->release();
    sync_file_system(flags.folder);
    log_line(flags.log, std::to_string(totals.inputs) + " inputs, " + std::to_string(totals.tally.rows) + " rows, " +
                            std::to_string(totals.tally.failed) + " failed, of " + std::to_string(flags.shards.size()) +
                            " shards");
    return totals.tally.failed > 0 ? ExitCode::records_failed : ExitCode::done;
}

ExitCode join_file(MergeFlags const& flags) {
    if (flags.shards.size() != 1) {
        throw Error(ErrorCode::invalid_argument, "-o makes a file of one folder; merge shards into one first, by -O");
    }
    check_output_file(flags.file, flags.force);
    if (flags.file.extension() == ".npy") {
        check_output_file(std::filesystem::path(flags.file).replace_extension(".tsv"), flags.force);
    }
    auto const joined = join_embeddings(flags.shards.front(), flags.file, "strandwave " STRANDWAVE_VERSION);
    log_line(flags.log, std::to_string(joined.rows) + " rows of " + std::to_string(joined.inputs) + " inputs in " +
                            flags.file.string());
    if (joined.left_out > 0) {
        log_error(std::to_string(joined.left_out) + " inputs left out: they could not be read whole (" +
                  joined.first_left_out + " is the first)");
    }
    return joined.failed > 0 ? ExitCode::records_failed : ExitCode::done;
}

ExitCode run_merge(MergeFlags const& flags) {
    if (flags.folder.empty() == flags.file.empty()) {
        throw Error(ErrorCode::invalid_argument, "give either -O, a folder for the whole batch, or -o, one file for "
                                                 "all its vectors");
    }
    return flags.file.empty() ? merge_folders(flags) : join_file(flags);
}

} // namespace

void add_merge_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<MergeFlags>();
    auto* const command =
        program.add_subcommand("merge", "Join the shards of a batch, or the vectors of its inputs into one file");
    command->add_option("SHARD", flags->shards, "Output folders of all shards, in any order; of -o, of the batch")
        ->required()
        ->type_name("DIR");
    command->add_option("-O,--output", flags->folder, "Folder for the whole batch; made if it is not there")
        ->check(empty_name)
        ->type_name("DIR");
    command
        ->add_option(
            "-o,--one-file", flags->file,
            "Vectors of all inputs: .npy with a .tsv beside it, .npz, .h5 or .h5ad; the batch has them as .npy")
        ->check(empty_name)
        ->type_name("FILE");
    command->add_flag("--force", flags->force, "Replace what is there");
    add_log_options(*command, flags->log);
    command->footer(
        "With -O the bytes are those that one run writes. Shards by records need the inputs at hand; the shards stay\n"
        "as they are. With -o rows come in the order of the inputs and also have the columns input and, of a sheet,\n"
        "sample and label.\n"
        "Exit code: 0 all done, 1 some records or files failed in a shard, 2 a shard is missing or not done.\n"
        "\nExamples:\n"
        "  strandwave merge shards/1 shards/2 shards/3 -O classes/\n"
        "  strandwave merge vectors/ -o vectors.h5ad");
    command->callback([flags, &result] { result.exit_code = run_merge(*flags); });
}

} // namespace strandwave
