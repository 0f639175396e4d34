#include "pipelines/report/batch_tables.h"

#include "pipelines/report/tab_table.h"

#include <algorithm>
#include <array>

namespace strandwave {
namespace {

/// Columns of records that gave no row, and what a reader calls them.
constexpr std::array<std::pair<char const*, char const*>, 4> kSkipped{{{"too_short", "too short"},
                                                                       {"secondary", "secondary or supplementary"},
                                                                       {"no_position", "nothing to read"},
                                                                       {"silent", "silent windows"}}};

class OutputNames {
public:
    explicit OutputNames(std::filesystem::path folder) : folder_(std::move(folder)) {}

    std::vector<std::string> split(std::string_view text) const {
        std::vector<std::string> names;
        std::string pending; // no file so far; it may be the beginning of a name with commas
        while (!text.empty()) {
            auto const comma = std::min(text.find(','), text.size());
            std::string const word(text.substr(0, comma));
            text.remove_prefix(std::min(comma + 1, text.size()));
            std::string const joined = pending.empty() ? word : pending + ',' + word;
            if (exists(joined)) {
                names.push_back(joined);
                pending.clear();
            } else if (exists(word)) {
                names.push_back(pending);
                names.push_back(word);
                pending.clear();
            } else {
                pending = joined;
            }
        }
        if (!pending.empty()) { names.push_back(pending); }
        return names;
    }

private:
    bool exists(std::string const& name) const {
        std::error_code ignored;
        return !name.empty() && std::filesystem::exists(folder_ / name, ignored);
    }

    std::filesystem::path folder_;
};

/// Adds the column to the sum, where there is such a column.
index_t optional_count(TabTable const& table, char const* column) {
    auto const place = table.find(column);
    return place && !table.cell(*place).empty() ? table.count(*place) : 0;
}

std::string optional_text(TabTable const& table, char const* column) {
    auto const place = table.find(column);
    return place ? std::string(table.cell(*place)) : std::string();
}

std::vector<std::size_t> class_columns(TabTable const& table) {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < table.columns().size(); ++i) {
        if (table.columns()[i].rfind("n_", 0) == 0) { places.push_back(i); }
    }
    return places;
}

} // namespace

index_t BatchSummary::complete() const {
    return std::count_if(inputs.begin(), inputs.end(), [](InputSummary const& input) { return input.complete(); });
}

std::vector<index_t> BatchSummary::class_rows() const {
    std::vector<index_t> sums(classes.size(), 0);
    for (auto const& input : inputs) {
        for (std::size_t i = 0; i < sums.size() && input.complete(); ++i) {
            sums[i] += input.class_rows[i];
        }
    }
    return sums;
}

BatchSummary read_batch_summary(std::filesystem::path const& folder) {
    TabTable table(folder / "summary.tsv");
    OutputNames const names(folder);
    auto const input = table.column("input");
    auto const status = table.column("status");
    auto const outputs = table.column("outputs");
    auto const classes = class_columns(table);

    BatchSummary summary;
    for (auto const place : classes) {
        summary.classes.push_back(table.columns()[place].substr(2));
    }
    std::array<index_t, kSkipped.size()> skipped{};
    while (table.next()) {
        InputSummary row;
        row.input = table.cell(input);
        row.status = table.cell(status);
        row.sample = optional_text(table, "sample");
        row.label = optional_text(table, "label");
        row.error = optional_text(table, "error");
        row.outputs = names.split(table.cell(outputs));
        row.records = optional_count(table, "records");
        row.rows = optional_count(table, "rows");
        row.failed = optional_count(table, "failed");
        for (auto const place : classes) {
            row.class_rows.push_back(table.cell(place).empty() ? 0 : table.count(place));
        }
        summary.records += row.records;
        summary.rows += row.rows;
        summary.failed += row.failed;
        summary.symbols += optional_count(table, "symbols");
        summary.tokens += optional_count(table, "tokens");
        for (std::size_t i = 0; i < kSkipped.size(); ++i) {
            skipped[i] += optional_count(table, kSkipped[i].first);
        }
        summary.inputs.push_back(std::move(row));
    }
    for (std::size_t i = 0; i < kSkipped.size(); ++i) {
        if (skipped[i] > 0) { summary.skipped.push_back({kSkipped[i].second, skipped[i]}); }
    }
    return summary;
}

FailureDigest read_failures(std::filesystem::path const& file) {
    TabTable table(file);
    auto const input = table.column("input");
    auto const record = table.column("record");
    auto const name = table.column("name");
    auto const code = table.column("code");
    auto const message = table.column("message");
    FailureDigest digest;
    while (table.next()) {
        ++digest.total;
        std::string key(table.cell(code));
        if (digest.by_code.count(key) == 0 && digest.by_code.size() >= kMostCodes) { key = "other"; }
        ++digest.by_code[key];
        if (digest.first.size() >= kFirstFailures) { continue; }
        auto const text = [&table](std::size_t column) { return std::string(table.cell(column)); };
        digest.first.push_back({text(input), text(record), text(name), text(code), text(message)});
    }
    return digest;
}

} // namespace strandwave
