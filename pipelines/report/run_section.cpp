#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>

namespace strandwave {
namespace {

std::string fact_list(std::vector<Fact> const& facts) {
    std::string list = "<dl class=\"facts\">\n";
    for (auto const& fact : facts) {
        list += "<div><dt>" + page_text(fact.name) + "</dt><dd>" + page_name(fact.value, kMessageCharacters) +
                "</dd></div>\n";
    }
    return list + "</dl>\n";
}

std::string narrow(PageTable const& table) { return "<div class=\"narrow\">" + table.finish() + "</div>\n"; }

std::string failed_inputs(BatchSummary const& summary) {
    PageTable table("Inputs that did not complete", {{"Input"}, {"Why"}});
    std::size_t failed = 0;
    for (auto const& input : summary.inputs) {
        if (input.complete() || ++failed > kFirstFailures) { continue; }
        table.row({page_name(input.input), page_name(input.error, kMessageCharacters)});
    }
    if (failed == 0) { return {}; }
    auto more = failed > kFirstFailures ? "<p>The first " + std::to_string(kFirstFailures) + " of " +
                                              grouped(static_cast<index_t>(failed)) + "; summary.tsv has all.</p>"
                                        : "";
    return table.finish() + more;
}

std::string failed_records(FailureDigest const& failures) {
    if (failures.total == 0) { return {}; }
    PageTable codes("Failures by kind", {{"Kind"}, {"Count", true}});
    for (auto const& [code, count] : failures.by_code) {
        codes.row({page_name(code), grouped(count)});
    }
    PageTable first("Failures", {{"Input"}, {"Record", true}, {"Name"}, {"Kind"}, {"Message"}});
    for (auto const& row : failures.first) {
        first.row({page_name(row.input), page_text(row.record, 24), page_name(row.name), page_name(row.code, 40),
                   page_name(row.message, kMessageCharacters)});
    }
    auto const shown = static_cast<index_t>(failures.first.size());
    auto const title = shown < failures.total ? "The first " + grouped(shown) + " of " + grouped(failures.total) +
                                                    " (failures.tsv has all)"
                                              : "All " + grouped(shown);
    return narrow(codes) + folded(title, first.finish());
}

std::string skipped_records(std::vector<NamedCount> const& skipped) {
    if (skipped.empty()) { return {}; }
    PageTable table("Skipped, so without a row", {{"Why"}, {"Count", true}});
    for (auto const& one : skipped) {
        table.row({one.name, grouped(one.count)});
    }
    return narrow(table);
}

} // namespace

PageSection problems_section(ReportData const& data) {
    PageSection section{"problems", "Problems of this report", "", true};
    if (data.problems.total == 0) { return section; }
    section.content =
        "<p>These files of the batch are missing or damaged, so figures below are not complete.</p>\n<ul>";
    for (auto const& problem : data.problems.first) {
        section.content += "<li>" + page_name(problem, kMessageCharacters) + "</li>\n";
    }
    section.content += "</ul>";
    auto const more = data.problems.total - static_cast<index_t>(data.problems.first.size());
    if (more > 0) { section.content += "<p>And " + grouped(more) + " more.</p>"; }
    return section;
}

PageSection failures_section(ReportData const& data) {
    PageSection section{"failures", "Failures and skipped records", "", true};
    section.content =
        failed_inputs(data.summary) + failed_records(data.failures) + skipped_records(data.summary.skipped);
    return section;
}

PageSection run_section(ReportData const& data) {
    PageSection section{"run", "The run", fact_list(data.run.facts), true};
    if (!data.run.command.empty()) {
        section.content +=
            "<h3>Command</h3>\n<pre tabindex=\"0\"><code>" + page_text(data.run.command, 2000) + "</code></pre>\n";
    }
    if (!data.run.settings.empty()) { section.content += folded("Settings", fact_list(data.run.settings)); }
    return section;
}

} // namespace strandwave
