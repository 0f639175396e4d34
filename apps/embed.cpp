#include "apps/commands.h"
#include "apps/common_options.h"
#include "apps/output_path.h"
#include "apps/progress.h"
#include "formats/byte_source.h"
#include "pipelines/embed_files.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <memory>
#include <sstream>

namespace strandwave {
namespace {

struct EmbedFlags {
    ModelOptions model;
    ComputeOptions compute;
    PreprocessorFlags preprocessor;
    InputFlags input;
    OutputOptions output;
    LogOptions log;
    index_t layer = kFinalNorm;
    bool per_record = false;
};

std::string size_text(index_t bytes) {
    double value = static_cast<double>(bytes);
    char const* const units[] = {" B", " kB", " MB", " GB", " TB"};
    std::size_t unit = 0;
    while (value >= 1000 && unit < 4) {
        value /= 1000;
        ++unit;
    }
    std::ostringstream text;
    text << std::setprecision(3) << value << units[unit];
    return text.str();
}

/// Per-position output is large: what it will take is told, and refused if the disk has less.
void check_disk(EmbedFlags const& flags, RecordSourceOptions const& options, OpenedModel const& opened) {
    auto const free = free_disk_bytes(flags.output.path);
    if (std::any_of(flags.input.files.begin(), flags.input.files.end(), is_read_only_once)) {
        log_line(flags.log, "size of " + flags.output.path.string() + " not known for a pipe; " + size_text(free) +
                                " are free, checked while it grows");
        return;
    }
    RecordSource source(flags.input.files, options);
    double const need = static_cast<double>(count_positions(source)) *
                        static_cast<double>(opened.model->hidden_width()) * static_cast<double>(sizeof(float));
    auto const bytes = static_cast<index_t>(std::min(need, 9e18));
    auto const told = flags.output.path.string() + ": " + size_text(bytes) + " to write, " + size_text(free) + " free";
    if (bytes > free) { throw Error(ErrorCode::too_large, told + "; pool the vectors, or use another disk"); }
    log_line(flags.log, told);
}

RunReport run_positions(EmbedFlags const& flags, OpenedModel const& opened, UnitRunOptions const& options,
                        UnitListener& listener) {
    if (opened.preprocessor.strand == StrandPolicy::both || flags.per_record) {
        throw Error(ErrorCode::invalid_argument, "--pool none averages nothing: drop --strand both and --per-record");
    }
    auto source = source_options(flags.input, opened);
    source.in_memory = true;
    check_disk(flags, source, opened);
    RecordSource records(flags.input.files, source);
    return embed_positions(records, opened.replicas, *opened.threads, options, flags.output.path, listener);
}

ExitCode run_embed(EmbedFlags flags) {
    bool const pooled = flags.preprocessor.pool != "none";
    auto const& path = flags.output.path;
    if (path.extension() != (pooled ? ".npy" : ".h5")) {
        throw Error(ErrorCode::invalid_argument,
                    path.string() + ": give -o a name that ends in " +
                        (pooled ? ".npy; `strandwave batch` and `merge -o` write .npz, .h5 and .h5ad"
                                : ".h5, which --pool none writes: one array a record"));
    }
    auto const table = std::filesystem::path(path).replace_extension(".tsv");
    check_output_file(path, flags.output.force, flags.input.files);
    if (pooled) { check_output_file(table, flags.output.force, flags.input.files); }
    if (flags.per_record && flags.input.window.empty()) {
        throw Error(ErrorCode::invalid_argument, "--per-record needs --window");
    }
    if (!pooled) { flags.preprocessor.pool.clear(); }
    auto const opened = open_model(flags.model, flags.compute, flags.preprocessor, flags.log);
    log_repeated_inputs(flags.log, flags.input.files);

    UnitRunOptions options;
    options.chunk = opened.chunk;
    options.pooling = opened.preprocessor.pooling;
    options.layer = flags.layer;
    options.per_record = flags.per_record;
    Progress progress(flags.log, flags.input.files);
    options.notice = [&](std::string const& line) {
        progress.clear();
        log_line(flags.log, line);
    };
    LoggingListener listener(progress);
    RunReport report;
    if (pooled) {
        RecordSource source(flags.input.files, source_options(flags.input, opened));
        report = embed_pooled(source, opened.replicas, *opened.threads, options, path, table, listener);
    } else {
        report = run_positions(flags, opened, options, listener);
    }
    progress.clear();
    log_summary(flags.log, report, progress.seconds());
    return exit_code(report);
}

} // namespace

void add_embed_command(CLI::App& program, CommandResult& result) {
    auto const flags = std::make_shared<EmbedFlags>();
    auto* const command = program.add_subcommand("embed", "Write the vector of each record, window or position");
    add_model_options(*command, flags->model);
    add_input_flags(*command, flags->input);
    add_output_options(*command, flags->output, true, "OUT.npy, beside it OUT.tsv; OUT.h5 with --pool none");
    command
        ->add_option("--layer", flags->layer,
                     "Take the residual stream after K layers, 0 the embedding (default: the final norm's output)")
        ->type_name("K")
        ->check(CLI::Range(index_t{0}, index_t{1} << 20).description(""));
    command->add_flag("--per-record", flags->per_record, "With --window: one row a record, the mean of its windows");
    add_preprocessor_flags(*command, flags->preprocessor, true);
    add_compute_options(*command, flags->compute, true);
    add_log_options(*command, flags->log);
    command->footer("OUT.npy is fp32 [rows, d_model]; OUT.tsv has name, start and end of each row, 0-based and\n"
                    "half-open, in bases or samples of the source record. A recording's name is its file.\n"
                    "OUT.h5 has one fp32 array a record, /embeddings/0, /embeddings/1, ..., of [positions, d_model]\n"
                    "(twice d_model for an RC-equivariant model: this strand, then the other one).\n"
                    "Exit code: 0 all done, 1 some records failed, 2 usage or set-up.\n"
                    "\nExample:\n"
                    "  strandwave embed --model model/ --pool mean genome.fa.gz --window 8192 -o genome.npy");
    command->callback([flags, &result] { result.exit_code = run_embed(*flags); });
}

} // namespace strandwave
