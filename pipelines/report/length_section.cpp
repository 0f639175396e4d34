#include "pipelines/axis_ticks.h"
#include "pipelines/report/page_plot.h"
#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace strandwave {
namespace {

constexpr index_t kMostColumns = 40;
constexpr int kShades = 7;
constexpr index_t kMedianRows = 10; ///< a column of fewer rows gets no median: it would be noise

/// Which shade a count has: equal steps of the logarithm, fewer where there are few different counts.
class Shades {
public:
    explicit Shades(index_t most) {
        for (int i = 0; i < kShades; ++i) {
            auto const least =
                static_cast<index_t>(std::ceil(std::pow(static_cast<double>(most), static_cast<double>(i) / kShades)));
            if (least_.empty() || least > least_.back()) { least_.push_back(least); }
        }
        most_ = most;
    }

    std::string of(index_t count) const {
        auto const above = std::upper_bound(least_.begin(), least_.end(), count);
        return shade(static_cast<std::size_t>(above - least_.begin()) - 1);
    }

    std::string legend(bool median) const {
        std::string text = "<ul class=\"legend\"><li>rows in a cell:</li>";
        for (std::size_t i = 0; i < least_.size(); ++i) {
            index_t const last = i + 1 < least_.size() ? least_[i + 1] - 1 : most_;
            text +=
                legend_entry(shade(i), grouped(least_[i]) + (last > least_[i] ? "\xe2\x80\x93" + grouped(last) : ""));
        }
        return text + (median ? legend_entry("median", "median") : "") + "</ul>";
    }

private:
    std::string shade(std::size_t i) const {
        auto const steps = static_cast<double>(std::max<std::size_t>(least_.size(), 2) - 1);
        return "h" + std::to_string(1 + std::lround(static_cast<double>(i) * (kShades - 1) / steps));
    }

    std::vector<index_t> least_; ///< count of each shade
    index_t most_ = 0;
};

std::string length_text(double length, bool seconds) {
    if (seconds) { return spoken_seconds(length); }
    return grouped(static_cast<index_t>(std::llround(length)));
}

index_t fullest_cell(std::vector<LengthColumn> const& columns) {
    index_t most = 0;
    for (auto const& column : columns) {
        most = std::max(most, *std::max_element(column.rows.begin(), column.rows.end()));
    }
    return most;
}

/// One path a shade: many cells in few bytes.
std::string cells(PagePlot const& plot, std::vector<LengthColumn> const& columns, Shades const& shades) {
    std::map<std::string, std::string> paths;
    for (auto const& column : columns) {
        double const left = plot.across(std::log10(column.low));
        double const right = plot.across(std::log10(column.high));
        for (std::size_t i = 0; i < column.rows.size(); ++i) {
            if (column.rows[i] == 0) { continue; }
            double const bottom = plot.up(static_cast<double>(i) / LengthConfidence::kConfidenceSteps);
            double const top = plot.up(static_cast<double>(i + 1) / LengthConfidence::kConfidenceSteps);
            paths[shades.of(column.rows[i])] += "M" + place(left) + " " + place(bottom) + "H" + place(right) + "V" +
                                                place(top) + "H" + place(left) + "z";
        }
    }
    std::string text;
    for (auto const& [shade, path] : paths) {
        text += "<path class=\"" + shade + "\" d=\"" + path + "\"/>\n";
    }
    return text;
}

bool has_median(LengthColumn const& column) { return column.all() >= kMedianRows; }

std::string median_line(PagePlot const& plot, std::vector<LengthColumn> const& columns) {
    std::string path;
    bool drawing = false;
    for (auto const& column : columns) {
        bool const enough = has_median(column);
        if (enough) {
            double const middle = (std::log10(column.low) + std::log10(column.high)) / 2;
            path += (drawing ? "L" : "M") + place(plot.across(middle)) + " " + place(plot.up(column.median())) +
                    (drawing ? "" : "h0"); // a dot, where the next column has no median
        }
        drawing = enough;
    }
    if (path.empty()) { return path; }
    return "<path class=\"halo\" d=\"" + path + "\"/>\n<path class=\"median\" d=\"" + path + "\"/>\n";
}

std::string picture(std::vector<LengthColumn> const& columns, Shades const& shades, bool seconds,
                    std::string const& description) {
    PlotAxis x{seconds ? "length in seconds" : "length in bases",
               std::log10(columns.front().low),
               std::log10(columns.back().high),
               {},
               {}};
    auto const lengths = log_ticks(x.low, x.high, 5);
    x.texts = tick_texts(lengths);
    std::transform(lengths.begin(), lengths.end(), std::back_inserter(x.ticks),
                   [](double length) { return std::log10(length); });
    PlotAxis y{"confidence", 0, 1, {0, 0.2, 0.4, 0.6, 0.8, 1}, {}};
    y.texts = tick_texts(y.ticks);
    PagePlot plot({"length-picture", "Length against confidence", description}, x, y);
    plot.add(cells(plot, columns, shades));
    plot.add(median_line(plot, columns));
    return plot.finish();
}

std::string numbers(std::vector<LengthColumn> const& columns, bool seconds) {
    bool const labelled =
        std::any_of(columns.begin(), columns.end(), [](LengthColumn const& column) { return column.labelled > 0; });
    std::vector<PageTable::Column> heads{{"Length from"}, {"Rows", true}, {"Median confidence", true}};
    if (labelled) { heads.push_back({"Accuracy", true}); }
    PageTable table("Rows by length", heads);
    for (auto const& column : columns) {
        if (column.all() == 0) { continue; }
        std::vector<std::string> line{length_text(column.low, seconds), grouped(column.all()),
                                      decimals(column.median(), 2)};
        if (labelled) { line.push_back(percent(column.correct, column.labelled)); }
        table.row(line);
    }
    return folded("Numbers", table.finish());
}

} // namespace

PageSection length_section(ReportData const& data) {
    PageSection section{"length", "Length and confidence", "", false};
    auto const& lengths = data.lengths;
    if (lengths.rows() == 0) { return section; }
    auto const unit = std::string(data.seconds ? "" : " bases");
    auto const range =
        length_text(lengths.shortest(), data.seconds) + " to " + length_text(lengths.longest(), data.seconds) + unit;
    auto const columns = lengths.columns(kMostColumns);
    if (columns.size() < 2) {
        section.content =
            "<p>All rows are about as long as one another (" + range + "), so there is nothing to compare.</p>";
        return section;
    }
    bool const median = std::any_of(columns.begin(), columns.end(), has_median);
    auto const words =
        "Rows are " + range + " long." + (median ? " The line is the median confidence of each length." : "");
    Shades const shades(fullest_cell(columns));
    section.content = "<p>" + words + "</p>\n<figure>" + picture(columns, shades, data.seconds, words) +
                      shades.legend(median) + "</figure>\n" + numbers(columns, data.seconds);
    return section;
}

} // namespace strandwave
