#include "pipelines/batch/join_embeddings.h"

#include "formats/embedding_export.h"
#include "formats/npy.h"
#include "lib/core/error.h"
#include "pipelines/batch/batch_run.h"
#include "pipelines/batch/part_check.h"
#include "pipelines/output_file.h"
#include "pipelines/table_cells.h"
#include "pipelines/table_writer.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>
#include <utility>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

void check_batch(fs::path const& folder, JournalHeader const& header) {
    auto const refuse = [&folder](std::string const& what) {
        throw Error(ErrorCode::invalid_argument, folder.string() + ": " + what);
    };
    if (header.shards > 1) {
        refuse("is shard " + std::to_string(header.shard + 1) + " of " + std::to_string(header.shards) +
               "; merge the shards into a folder first, by -O");
    }
    auto const& formats = header.outputs.formats;
    if (std::find(formats.begin(), formats.end(), OutputFormat::npy) == formats.end()) {
        refuse("has no .npy of each input, of which one file is made: that is `batch --task embed`, with no --format "
               "or --format npy");
    }
}

void check_file(fs::path const& out) {
    constexpr std::array kEndings{".npy", ".npz", ".h5", ".hdf5", ".h5ad"};
    if (std::find(kEndings.begin(), kEndings.end(), out.extension()) != kEndings.end()) { return; }
    throw Error(ErrorCode::invalid_argument, out.string() + ": its name has to end in .npy, .npz, .h5 or .h5ad");
}

/// The one of `files` with this ending, which has to be as it was written.
fs::path file_of(std::vector<WrittenFile> const& files, std::string_view ending, fs::path const& folder) {
    auto const found =
        std::find_if(files.begin(), files.end(), [&](auto const& file) { return file.name.ends_with(ending); });
    if (found == files.end() || !file_as_written(*found, folder)) {
        throw Error(ErrorCode::malformed_input, (found == files.end() ? folder : folder / found->name).string() +
                                                    ": is not as it was written; run the batch with --resume");
    }
    return folder / found->name;
}

/// Those of `input`, `sample` and `label` that tell something.
std::vector<std::string> columns_of(std::vector<BatchInput> const& inputs) {
    std::vector<std::string> columns{"input"};
    auto const any = [&](std::string BatchInput::*member) {
        return std::any_of(inputs.begin(), inputs.end(), [&](auto const& input) { return !(input.*member).empty(); });
    };
    if (any(&BatchInput::sample)) { columns.emplace_back("sample"); }
    if (any(&BatchInput::label)) { columns.emplace_back("label"); }
    return columns;
}

std::vector<std::string> texts_of(BatchInput const& input, std::vector<std::string> const& columns) {
    std::vector<std::string> texts;
    for (auto const& column : columns) {
        auto const& cell = column == "input" ? input.path.string() : column == "sample" ? input.sample : input.label;
        append_cell(cell, texts.emplace_back());
    }
    return texts;
}

void append_row(EmbeddingRow const& row, bool in_seconds, std::string& text) {
    text += row.name + '\t' + std::to_string(row.start) + '\t' + std::to_string(row.end);
    if (in_seconds) {
        char seconds[64];
        std::snprintf(seconds, sizeof seconds, "\t%.6f\t%.6f", row.start_s, row.end_s);
        text += seconds;
    }
    for (auto const& cell : row.texts) {
        text += '\t' + cell;
    }
    text += '\n';
}

void write_npy(EmbeddingTable const& table, fs::path const& out) {
    NpyWriter vectors(out, table.width());
    OutputFile lines(fs::path(out).replace_extension(".tsv"));
    std::string text = unit_table_header(table.in_seconds());
    text.pop_back(); // its line goes on
    for (auto const& column : table.text_columns()) {
        text += '\t' + column;
    }
    lines.stream() << text << '\n';
    table.for_each_rows([&](std::span<EmbeddingRow const> rows) {
        text.clear();
        for (auto const& row : rows) {
            append_row(row, table.in_seconds(), text);
        }
        lines.stream() << text;
    });
    table.for_each_vectors([&](View<float const, 2> rows) { vectors.append(rows); });
    vectors.close();
    lines.commit();
}

} // namespace

JoinedEmbeddings join_embeddings(fs::path const& folder, fs::path const& out, std::string const& program) {
    check_file(out);
    auto const journal = BatchJournal::opened_to_read(folder / kJournalName);
    auto const& header = journal->header();
    check_batch(folder, header);
    auto const columns = columns_of(header.inputs);
    JoinedEmbeddings joined;
    std::vector<EmbeddingPart> parts;
    for (auto const& input : header.inputs) {
        auto const* const known = journal->find(input.output.string());
        if (known == nullptr || !known->ended) {
            throw Error(ErrorCode::not_found, folder.string() + ": " + input.path.string() +
                                                  " is not done; go on with the batch by --resume");
        }
        joined.failed += known->tally.failed;
        if (known->broken) {
            if (joined.left_out++ == 0) { joined.first_left_out = input.path.string(); }
            continue;
        }
        parts.push_back(
            {file_of(known->files, ".npy", folder), file_of(known->files, ".tsv", folder), texts_of(input, columns)});
    }
    if (parts.empty()) { throw Error(ErrorCode::invalid_argument, folder.string() + ": no input of it is complete"); }
    for (auto const& part : parts) {
        std::error_code error;
        if (fs::equivalent(part.npy, out, error) && !error) {
            throw Error(ErrorCode::invalid_argument, out.string() + ": is a file of the batch; give another name");
        }
    }
    EmbeddingTable const table(std::move(parts), columns);
    joined.inputs = static_cast<index_t>(header.inputs.size()) - joined.left_out;
    joined.rows = table.rows();
    if (out.extension() == ".npy") {
        write_npy(table, out);
    } else {
        export_embeddings(table, out, {program, folder.string()});
    }
    return joined;
}

} // namespace strandwave
