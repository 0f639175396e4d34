#include "pipelines/classify_files.h"
#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

constexpr index_t kMostClasses = 20;
constexpr std::size_t kMostScored = 50;
constexpr int kShades = 7;

std::string shade(index_t rows, index_t all) {
    if (rows == 0) { return "h0"; }
    double const share = static_cast<double>(rows) / static_cast<double>(all);
    return "h" + std::to_string(std::min(kShades, 1 + static_cast<int>(std::floor(share * kShades))));
}

std::string matrix_row(NamedConfusion const& shown, index_t truth, index_t all) {
    std::string row = "<tr><th scope=\"row\">" + page_name(shown.names[static_cast<std::size_t>(truth)], 32) + "</th>";
    for (index_t given = 0; given < shown.confusion.classes; ++given) {
        index_t const rows = shown.confusion(truth, given);
        row += "<td class=\"" + shade(rows, all) + (truth == given ? " same" : "") + "\">" + grouped(rows) + "</td>";
    }
    return row + "</tr>\n";
}

/// The matrix as a table, so that the picture is its own numbers.
std::string matrix(NamedConfusion const& shown) {
    std::string out =
        "<p>Rows of a true class (down) that were given a class (across). Shades are shares of the true "
        "class.</p>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Confusion matrix\">"
        "<table class=\"matrix\" aria-label=\"Confusion matrix\">\n"
        "<thead><tr><th scope=\"col\">true \\ given</th>";
    for (auto const& name : shown.names) {
        out += "<th scope=\"col\"><span>" + page_name(name, 32) + "</span></th>";
    }
    out += "</tr></thead>\n<tbody>\n";
    for (index_t truth = 0; truth < shown.confusion.classes; ++truth) {
        index_t const all = shown.confusion.truths(truth);
        if (all > 0) { out += matrix_row(shown, truth, all); }
    }
    return out + "</tbody></table></div>\n";
}

std::string scores(NamedConfusion const& all) {
    PageTable table("Scores of each class",
                    {{"Class"}, {"Rows", true}, {"Given", true}, {"Precision", true}, {"Recall", true}, {"F1", true}});
    auto const each = class_scores(all.confusion);
    for (std::size_t k = 0; k < std::min(each.size(), kMostScored); ++k) {
        auto const& one = each[k];
        if (one.rows == 0 && all.names[k] == kUnclassified) { continue; }
        table.row({page_name(all.names[k]), grouped(one.rows), grouped(one.predicted), decimals(one.precision, 3),
                   decimals(one.recall, 3), decimals(one.f1, 3)});
    }
    return folded("Precision and recall of each class", table.finish());
}

std::string tile(char const* name, std::string const& value) {
    return std::string("<div><dt>") + name + "</dt><dd>" + value + "</dd></div>";
}

index_t unclassified(NamedConfusion const& all) {
    auto const found = std::find(all.names.begin(), all.names.end(), kUnclassified);
    return found == all.names.end() ? 0 : all.confusion.predictions(found - all.names.begin());
}

} // namespace

PageSection confusion_section(ReportData const& data) {
    PageSection section{"confusion", "True and given classes", "", false};
    if (data.truths.rows() == 0) { return section; }
    auto const all = data.truths.confusion(data.run.labels);
    auto const& counts = all.confusion;
    index_t const unlabelled = data.confidence.rows(Verdict::unlabelled);
    section.content = "<dl class=\"tiles small\">" + tile("Accuracy", percent(accuracy(counts))) +
                      tile("Balanced accuracy", percent(balanced_accuracy(counts))) +
                      tile("MCC", decimals(matthews_correlation(counts), 3)) + "</dl>\n<p>Of " +
                      counted(counts.rows(), "row") + " with a known class" +
                      (unlabelled > 0 ? ", without " + grouped(unlabelled) + " whose class is not known." : ".") +
                      (unclassified(all) > 0 ? " Unclassified rows count as wrong." : "") + "</p>\n";
    section.content += matrix(largest_classes(all, kMostClasses, "all others")) + scores(all);
    return section;
}

} // namespace strandwave
