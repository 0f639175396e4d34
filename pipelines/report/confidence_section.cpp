#include "pipelines/axis_ticks.h"
#include "pipelines/report/page_plot.h"
#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <array>

namespace strandwave {
namespace {

constexpr index_t kBins = 20;

struct Stack {
    Verdict verdict;
    char const* name;
    char const* colour;
};
constexpr std::array<Stack, kVerdicts> kStacks{
    {{Verdict::correct, "correct", "k0"}, {Verdict::wrong, "wrong", "k1"}, {Verdict::unlabelled, "no label", "rest"}}};

struct Bin {
    std::array<index_t, kVerdicts> rows{}; ///< as kStacks
    index_t all() const { return rows[0] + rows[1] + rows[2]; }
};

std::vector<Bin> bins_of(ConfidenceCounts const& counts) {
    std::vector<Bin> bins(static_cast<std::size_t>(kBins));
    for (std::size_t s = 0; s < kStacks.size(); ++s) {
        auto const rows = counts.histogram(kStacks[s].verdict, kBins);
        for (std::size_t i = 0; i < bins.size(); ++i) {
            bins[i].rows[s] = rows[i];
        }
    }
    return bins;
}

std::string range_of(std::size_t bin) {
    auto const edge = [](std::size_t i) { return decimals(static_cast<double>(i) / kBins, 2); };
    return edge(bin) + "\xe2\x80\x93" + edge(bin + 1);
}

std::string picture(std::vector<Bin> const& bins, bool labelled, std::string const& description) {
    auto const highest =
        std::max_element(bins.begin(), bins.end(), [](Bin const& a, Bin const& b) { return a.all() < b.all(); })->all();
    PlotAxis x{"probability of the class given", 0, 1, {0, 0.2, 0.4, 0.6, 0.8, 1}, {}};
    PlotAxis y{"rows", 0, 1.04 * static_cast<double>(highest), {}, {}};
    x.texts = tick_texts(x.ticks);
    y.ticks = linear_ticks(y.low, y.high, std::min(5.0, static_cast<double>(highest))); // whole numbers
    y.texts = tick_texts(y.ticks);
    PagePlot plot({"confidence-picture", "Histogram of confidence", description}, x, y);
    for (std::size_t i = 0; i < bins.size(); ++i) {
        double const low = static_cast<double>(i) / kBins;
        index_t below = 0;
        for (std::size_t s = 0; s < kStacks.size(); ++s) {
            index_t const rows = bins[i].rows[s];
            if (rows == 0) { continue; }
            auto const words =
                range_of(i) + ": " + counted(rows, "row") + (labelled ? std::string(" ") + kStacks[s].name : "");
            plot.rectangle(low + 0.003, low + 1.0 / kBins - 0.003, static_cast<double>(below),
                           static_cast<double>(below + rows), labelled ? kStacks[s].colour : "k0", words);
            below += rows;
        }
    }
    return plot.finish();
}

std::string numbers(std::vector<Bin> const& bins, bool labelled) {
    std::vector<PageTable::Column> columns{{"Confidence"}, {"Rows", true}};
    if (labelled) {
        for (auto const* title : {"Correct", "Wrong", "Accuracy"}) {
            columns.push_back({title, true});
        }
    }
    PageTable table("Rows by confidence", columns);
    for (std::size_t i = 0; i < bins.size(); ++i) {
        if (bins[i].all() == 0) { continue; }
        std::vector<std::string> cells{range_of(i), grouped(bins[i].all())};
        if (labelled) {
            cells.push_back(grouped(bins[i].rows[0]));
            cells.push_back(grouped(bins[i].rows[1]));
            cells.push_back(percent(bins[i].rows[0], bins[i].rows[0] + bins[i].rows[1]));
        }
        table.row(cells);
    }
    return folded("Numbers", table.finish());
}

} // namespace

PageSection confidence_section(ReportData const& data) {
    PageSection section{"confidence", "Confidence", "", false};
    auto const& counts = data.confidence;
    if (counts.rows() == 0) {
        if (data.run.task == "classify" && data.summary.rows > 0) {
            section.content = "<p>No table of rows (--format tsv or jsonl) of a complete input is here, so their "
                              "confidence is not known.</p>";
        }
        return section;
    }
    bool const labelled = data.truths.rows() > 0;
    auto const bins = bins_of(counts);
    auto const words = "Half of the " + grouped(counts.rows()) + " rows have a confidence above " +
                       decimals(counts.quantile(0.5), 2) + ", and one in twenty lies below " +
                       decimals(counts.quantile(0.05), 2) + ".";
    section.content = "<p>" + words + "</p>\n<figure>" + picture(bins, labelled, words);
    if (labelled) {
        section.content += "<ul class=\"legend\">";
        for (auto const& stack : kStacks) {
            if (counts.rows(stack.verdict) > 0) { section.content += legend_entry(stack.colour, stack.name); }
        }
        section.content += "</ul>";
    }
    section.content += "</figure>\n";
    if (counts.not_finite() > 0) {
        section.content += "<p>" + counted(counts.not_finite(), "row") + " without a finite probability left out.</p>";
    }
    section.content += numbers(bins, labelled);
    return section;
}

} // namespace strandwave
