#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <numeric>

namespace strandwave {
namespace {

constexpr std::size_t kOpenInputs = 20;  ///< are seen at once,
constexpr std::size_t kMostInputs = 200; ///< further ones are folded away
constexpr std::size_t kNamedShares = 2;  ///< of an input's classes, below its bar

using Ranks = std::vector<std::size_t>;

index_t total(std::vector<index_t> const& counts) { return std::accumulate(counts.begin(), counts.end(), index_t{0}); }

std::string name_of(InputSummary const& input) { return page_name(input.sample.empty() ? input.input : input.sample); }

std::string name_and_state(InputSummary const& input) {
    auto cell = name_of(input);
    if (!input.complete()) { cell += " <span class=\"bad\">" + page_text(input.status, 20) + "</span>"; }
    std::string more;
    if (!input.label.empty()) { more = "label: " + page_name(input.label, 40); }
    if (input.failed > 0) { more += (more.empty() ? "" : " \xc2\xb7 ") + counted(input.failed, "record") + " failed"; }
    if (!more.empty()) { cell += "<small>" + more + "</small>"; }
    return cell;
}

/// The largest classes of an input in words.
std::string in_words(std::vector<index_t> const& rows, std::vector<std::string> const& classes) {
    auto const occurring =
        static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), [](index_t count) { return count > 0; }));
    auto const order = by_size(rows);
    std::string words;
    for (std::size_t i = 0; i < std::min(occurring, kNamedShares); ++i) {
        words += (i > 0 ? ", " : "") + page_text(classes[order[i]], 30) + " " + percent(rows[order[i]], total(rows));
    }
    if (occurring > kNamedShares) { words += ", " + std::to_string(occurring - kNamedShares) + " more"; }
    return words;
}

/// The shares of an input's classes as one bar, the colours in the order of the whole run.
std::string stacked_bar(std::vector<index_t> const& rows, Ranks const& ranks, std::string const& words) {
    auto const all = total(rows);
    std::string bar = "<div class=\"bar stack\" role=\"img\" aria-label=\"" + words + "\">";
    auto const segment = [&](std::string const& colour, index_t count) {
        if (count == 0) { return; }
        double const share = static_cast<double>(count) / static_cast<double>(all);
        bar += "<i class=\"" + colour + "\" style=\"width:" + decimals(100 * share, 2) + "%\"></i>";
    };
    index_t rest = all;
    for (auto const k : ranks) {
        segment(colour_of(ranks, k), rows[k]);
        rest -= rows[k];
    }
    segment("rest", rest);
    return bar + "</div><small>" + words + "</small>";
}

/// Inputs `begin` to `end`.
std::string input_table(BatchSummary const& summary, Ranks const& ranks, std::string const& caption, std::size_t begin,
                        std::size_t end) {
    bool const classes = !summary.classes.empty();
    std::vector<PageTable::Column> columns{{"Input"}, {"Rows", true}};
    if (classes) { columns.insert(columns.begin() + 1, {"Classes"}); }
    PageTable table(caption, columns);
    for (std::size_t i = begin; i < end; ++i) {
        auto const& input = summary.inputs[i];
        std::vector<std::string> cells{name_and_state(input), grouped(input.rows)};
        if (classes) {
            cells.insert(cells.begin() + 1,
                         stacked_bar(input.class_rows, ranks, in_words(input.class_rows, summary.classes)));
        }
        table.row(cells);
    }
    return "<div class=\"inputs\">" + table.finish() + "</div>\n";
}

std::string class_legend(BatchSummary const& summary, Ranks const& ranks) {
    std::string legend = "<ul class=\"legend\">";
    for (auto const k : ranks) {
        legend += legend_entry(colour_of(ranks, k), page_name(summary.classes[k], 40));
    }
    return legend + legend_entry("rest", "all others and unclassified") + "</ul>\n";
}

std::string class_numbers(BatchSummary const& summary, Ranks const& ranks, std::size_t shown) {
    std::vector<PageTable::Column> columns{{"Input"}};
    for (auto const k : ranks) {
        columns.push_back({page_name(summary.classes[k], 30), true});
    }
    columns.push_back({"all others", true});
    PageTable table("Rows of each class", columns);
    for (std::size_t i = 0; i < shown; ++i) {
        auto const& input = summary.inputs[i];
        std::vector<std::string> cells{name_of(input)};
        index_t rest = total(input.class_rows);
        for (auto const k : ranks) {
            cells.push_back(grouped(input.class_rows[k]));
            rest -= input.class_rows[k];
        }
        cells.push_back(grouped(rest));
        table.row(cells);
    }
    return folded("Numbers", table.finish());
}

} // namespace

PageSection inputs_section(ReportData const& data) {
    PageSection section{"inputs", "Inputs", "", true};
    auto const& summary = data.summary;
    auto const count = summary.inputs.size();
    if (count == 0) { return section; }
    auto const ranks = class_ranks(summary);
    auto const open = std::min(count, kOpenInputs);
    auto const shown = std::min(count, kMostInputs);
    auto const caption = [count](std::size_t first, std::size_t last) {
        return "Inputs " + std::to_string(first) + " to " + std::to_string(last) + " of " +
               grouped(static_cast<index_t>(count));
    };
    if (!ranks.empty()) { section.content += class_legend(summary, ranks); }
    section.content += input_table(summary, ranks, caption(1, open), 0, open);
    if (shown > open) {
        section.content +=
            folded(caption(open + 1, shown), input_table(summary, ranks, caption(open + 1, shown), open, shown));
    }
    if (shown < count) { section.content += "<p>summary.tsv has all inputs.</p>\n"; }
    if (!ranks.empty()) { section.content += class_numbers(summary, ranks, shown); }
    return section;
}

} // namespace strandwave
