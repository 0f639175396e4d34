#include "pipelines/batch/batch_summary.h"

#include "lib/core/partial_file.h"
#include "pipelines/classify_files.h"

#include <algorithm>

namespace strandwave {
namespace {

std::string summary_header(std::vector<std::string> const& labels) {
    std::string text =
        "input\tsample\tlabel\tstatus\trecords\trows\tfailed\ttoo_short\tsecondary\tsilent\tno_position\t"
        "symbols\ttokens";
    for (auto const& label : labels) {
        text += "\tn_";
        append_cell(label, text);
    }
    if (!labels.empty()) { text += "\tn_" + std::string(kUnclassified); }
    return text + "\toutputs\terror\n";
}

/// What ended the file; of several failures of a file the last.
std::string file_error(InputJournal const& known) {
    auto const failure = std::find_if(known.failures.rbegin(), known.failures.rend(),
                                      [&](auto const& one) { return known.broken && one.message.size() > 0; });
    return failure == known.failures.rend() ? std::string() : failure->message;
}

void append_summary(BatchInput const& input, InputJournal const& known, std::size_t labels, std::string& text) {
    append_cell(input.path.string(), text);
    text += '\t';
    append_cell(input.sample, text);
    text += '\t';
    append_cell(input.label, text);
    text += known.broken ? "\tfailed" : known.ended ? "\tcomplete" : "\tunfinished";
    auto const& tally = known.tally;
    for (index_t const count : {tally.records, tally.rows, tally.failed, tally.too_short, tally.secondary, tally.silent,
                                tally.no_position, tally.symbols, tally.positions}) {
        text += '\t' + std::to_string(count);
    }
    for (std::size_t i = 0; labels > 0 && i <= labels; ++i) {
        text += '\t' + std::to_string(i < tally.class_rows.size() ? tally.class_rows[i] : 0);
    }
    text += '\t';
    for (std::size_t i = 0; i < known.files.size(); ++i) {
        if (i > 0) { text += ','; }
        append_cell(known.files[i].name, text);
    }
    text += '\t';
    append_cell(file_error(known), text);
    text += '\n';
}

void append_failures(BatchInput const& input, InputJournal const& known, std::string& text) {
    for (auto const& failure : known.failures) {
        append_cell(input.path.string(), text);
        text += '\t' + (failure.ordinal < 0 ? std::string() : std::to_string(failure.ordinal)) + '\t';
        append_cell(failure.name, text);
        text += '\t' + failure.code + '\t';
        append_cell(failure.message, text);
        text += '\n';
    }
}

} // namespace

BatchTotals batch_totals(std::vector<BatchInput> const& inputs, BatchJournal const& journal) {
    BatchTotals totals;
    for (auto const& input : inputs) {
        auto const* const known = journal.find(input.output.string());
        if (known == nullptr) { continue; }
        ++totals.inputs;
        totals.complete += known->ended && !known->broken ? 1 : 0;
        totals.failed_inputs += known->broken ? 1 : 0;
        totals.tally += known->tally;
    }
    return totals;
}

void write_batch_tables(std::filesystem::path const& folder, std::vector<BatchInput> const& inputs,
                        std::vector<std::string> const& labels, BatchJournal const& journal) {
    auto summary = summary_header(labels);
    std::string failures = "input\trecord\tname\tcode\tmessage\n";
    for (auto const& input : inputs) {
        auto const* const known = journal.find(input.output.string());
        if (known == nullptr) { continue; }
        append_summary(input, *known, labels.size(), summary);
        append_failures(input, *known, failures);
    }
    write_file_whole(folder / "summary.tsv", summary);
    write_file_whole(folder / "failures.tsv", failures);
}

} // namespace strandwave
