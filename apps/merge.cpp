#include "apps/batch_files.h"
#include "apps/commands.h"
#include "apps/common_options.h"
#include "lib/core/partial_file.h"
#include "pipelines/batch/batch_summary.h"
#include "pipelines/batch/merge_shards.h"

#include <CLI/CLI.hpp>
#include <memory>

namespace strandwave {
namespace {

struct MergeFlags {
    std::vector<std::filesystem::path> shards;
    std::filesystem::path folder;
    bool force = false;
    LogOptions log;
};

ExitCode run_merge(MergeFlags const& flags) {
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

} // namespace

void add_merge_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<MergeFlags>();
    auto* const command = program.add_subcommand("merge", "Join the shards of a batch into what one run writes");
    command->add_option("SHARD", flags->shards, "Output folders of all shards, in any order")
        ->required()
        ->type_name("DIR");
    command->add_option("-O,--output", flags->folder, "Folder for the whole batch; made if it is not there")
        ->required()
        ->type_name("DIR");
    command->add_flag("--force", flags->force, "Replace a batch that is there");
    add_log_options(*command, flags->log);
    command->footer(
        "Shards by records need the inputs at hand; the shards stay as they are.\n"
        "Exit code: 0 all done, 1 some records or files failed in a shard, 2 a shard is missing or not done.\n"
        "\nExample:\n"
        "  strandwave merge shards/1 shards/2 shards/3 -O classes/");
    command->callback([flags, &result] { result.exit_code = run_merge(*flags); });
}

} // namespace strandwave
