#include "pipelines/report/report_page.h"

#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_style.h"
#include "pipelines/report/page_text.h"

#include <algorithm>

namespace strandwave {
namespace {

std::string tile(std::string const& name, std::string const& value) {
    return "<div><dt>" + name + "</dt><dd>" + value + "</dd></div>\n";
}

std::string tiles(ReportData const& data) {
    auto const& summary = data.summary;
    auto const inputs = static_cast<index_t>(summary.inputs.size());
    std::string text = "<dl class=\"tiles\">\n";
    auto const complete = summary.complete();
    text +=
        tile("Inputs complete", complete == inputs ? grouped(inputs) : grouped(complete) + " of " + grouped(inputs));
    text += tile("Records", grouped(summary.records));
    text += tile("Rows", grouped(summary.rows));
    text += tile("Failed records", grouped(summary.failed));
    if (data.truths.rows() > 0) {
        text += tile("Accuracy", percent(accuracy(data.truths.confusion(data.run.labels).confusion)));
    }
    if (!data.run.tokens_per_second.empty()) {
        text += tile("Tokens a second", page_text(data.run.tokens_per_second, 24));
    }
    return text + "</dl>\n";
}

std::string subtitle(ReportData const& data) {
    std::string text;
    auto const add = [&text](std::string const& part) {
        if (!part.empty()) { text += (text.empty() ? "" : " \xc2\xb7 ") + page_name(part); }
    };
    add(data.run.task);
    add(data.run.model);
    add(data.run.started);
    if (!data.run.shard.empty()) { add("shard " + data.run.shard + " only"); }
    return text;
}

/// Those that have content. One that stands alone in its row becomes wide.
std::vector<PageSection> sections_of(ReportData const& data) {
    std::vector<PageSection> sections{problems_section(data), classes_section(data),   confidence_section(data),
                                      length_section(data),   confusion_section(data), embeddings_section(data),
                                      inputs_section(data),   failures_section(data),  run_section(data)};
    sections.erase(std::remove_if(sections.begin(), sections.end(),
                                  [](PageSection const& section) { return section.content.empty(); }),
                   sections.end());
    PageSection* alone = nullptr;
    for (auto& section : sections) {
        if (section.wide && alone != nullptr) { alone->wide = true; }
        alone = section.wide || alone != nullptr ? nullptr : &section;
    }
    return sections;
}

} // namespace

std::string report_page(ReportData const& data, std::string const& title) {
    auto const heading = page_text(title.empty() ? "Report of " + data.folder : title);
    std::string links;
    std::string parts;
    for (auto const& section : sections_of(data)) {
        links += "<a href=\"#" + section.id + "\">" + section.title + "</a>\n";
        parts += "<section id=\"" + section.id + "\"" + (section.wide ? " class=\"wide\"" : "") +
                 " aria-labelledby=\"" + section.id + "-h\">\n<h2 id=\"" + section.id + "-h\">" + section.title +
                 "</h2>\n" + section.content + "</section>\n";
    }
    return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
           heading + "</title>\n<style>\n" + std::string(page_style()) + "</style>\n</head>\n<body>\n<header>\n<h1>" +
           heading + "</h1>\n<p>" + subtitle(data) + "</p>\n" + tiles(data) +
           "</header>\n<nav aria-label=\"Sections\">\n" + links + "</nav>\n<main>\n" + parts +
           "</main>\n<footer><p>Written by strandwave report. Figures of rows are of the complete "
           "inputs.</p></footer>\n</body>\n</html>\n";
}

} // namespace strandwave
