#include "pipelines/axis_ticks.h"
#include "pipelines/report/page_plot.h"
#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace strandwave {
namespace {

struct Range {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();

    void hold(double value) {
        low = std::min(low, value);
        high = std::max(high, value);
    }
    /// A little wider on both sides; a single value gets room.
    Range with_air() const {
        double const room = high > low ? 0.04 * (high - low) : 1;
        return {low - room, high + room};
    }
};

PlotAxis axis_of(std::string const& label, Range const& values) {
    auto const range = values.with_air();
    PlotAxis axis{label, range.low, range.high, linear_ticks(range.low, range.high, 5), {}};
    axis.texts = tick_texts(axis.ticks);
    return axis;
}

std::string group_name(EmbeddingPicture const& picture, std::size_t group) {
    auto const& name = picture.groups[group].name;
    return name.empty() ? "no label" : page_name(name, 60);
}

std::vector<index_t> counts_of(EmbeddingPicture const& picture) {
    std::vector<index_t> counts;
    for (auto const& group : picture.groups) {
        counts.push_back(group.name.empty() ? 0 : group.count);
    }
    return counts;
}

/// One path a colour; a point is a line of no length with round ends.
std::string points(PagePlot const& plot, EmbeddingPicture const& picture, std::vector<std::size_t> const& ranks) {
    std::map<std::string, std::string, std::greater<>> paths; // "rest" first, below the others
    for (auto const& row : picture.projection.rows) {
        paths[colour_of(ranks, static_cast<std::size_t>(row.group))] +=
            "M" + place(plot.across(row.x)) + " " + place(plot.up(row.y)) + "h0";
    }
    std::string text;
    for (auto const& [colour, path] : paths) {
        text += "<path class=\"dots " + colour + "\" d=\"" + path + "\"/>\n";
    }
    return text;
}

/// For the groups that have no colour of their own.
std::string rest_entry(EmbeddingPicture const& picture, std::vector<std::size_t> const& ranks) {
    auto const& groups = picture.groups;
    auto const nameless = static_cast<std::size_t>(
        std::count_if(groups.begin(), groups.end(), [](NamedCount const& group) { return group.name.empty(); }));
    auto const others = static_cast<index_t>(groups.size() - ranks.size() - nameless);
    std::string text = others > 0 ? counted(others, picture.by_label ? "more label" : "more input") : "";
    if (nameless > 0) { text += text.empty() ? "no label" : ", and no label"; }
    return text.empty() ? text : legend_entry("rest", text);
}

struct Spread {
    index_t rows = 0;
    double x = 0, y = 0, xx = 0, yy = 0;
};

/// Where each group lies, of the rows that are drawn.
std::string numbers(EmbeddingPicture const& picture, std::vector<std::size_t> const& ranks) {
    std::vector<Spread> spreads(picture.groups.size());
    for (auto const& row : picture.projection.rows) {
        auto& spread = spreads[static_cast<std::size_t>(row.group)];
        ++spread.rows;
        spread.x += row.x;
        spread.y += row.y;
        spread.xx += row.x * row.x;
        spread.yy += row.y * row.y;
    }
    PageTable table(
        "Mean and standard deviation of the rows drawn",
        {{picture.by_label ? "Label" : "Input"}, {"Rows", true}, {"Drawn", true}, {"Axis 1", true}, {"Axis 2", true}});
    auto const cell = [](double sum, double squares, index_t rows) {
        auto const n = static_cast<double>(rows);
        double const variance = std::max(0.0, squares / n - sum / n * (sum / n));
        return rows > 0 ? decimals(sum / n, 2) + " \xc2\xb1 " + decimals(std::sqrt(variance), 2) : std::string();
    };
    for (auto const group : ranks) {
        auto const& spread = spreads[group];
        table.row({group_name(picture, group), grouped(picture.groups[group].count), grouped(spread.rows),
                   cell(spread.x, spread.xx, spread.rows), cell(spread.y, spread.yy, spread.rows)});
    }
    return folded("Numbers", table.finish());
}

} // namespace

PageSection embeddings_section(ReportData const& data) {
    PageSection section{"embeddings", "Embeddings", "", false};
    if (!data.embeddings) { return section; }
    auto const& picture = *data.embeddings;
    if (picture.width > PrincipalAxes::kWidest) {
        section.content = "<p>Vectors of " + grouped(picture.width) + " numbers are not drawn; " +
                          grouped(PrincipalAxes::kWidest) + " are the most.</p>";
    }
    if (picture.projection.rows.size() < 2) { return section; }
    auto const& projection = picture.projection;
    auto const drawn = static_cast<index_t>(projection.rows.size());
    auto const ranks = ranked(counts_of(picture));
    auto const words = "The two directions in which the " + grouped(picture.rows) + " vectors of " +
                       grouped(picture.width) + " numbers differ most (principal components) have " +
                       percent(projection.x_share + projection.y_share) + " of their variance." +
                       (drawn < picture.rows ? " " + grouped(drawn) + " evenly spaced rows are drawn." : "") +
                       (projection.measured < picture.rows - projection.not_finite
                            ? " The directions are those of " + grouped(projection.measured) + " rows."
                            : "");

    Range x;
    Range y;
    for (auto const& row : projection.rows) {
        x.hold(row.x);
        y.hold(row.y);
    }
    PagePlot plot({"embeddings-picture", "Embeddings in two dimensions", words},
                  axis_of("axis 1 (" + percent(projection.x_share) + " of variance)", x),
                  axis_of("axis 2 (" + percent(projection.y_share) + ")", y));
    plot.add(points(plot, picture, ranks));
    section.content = "<p>" + words + "</p>\n<figure>" + plot.finish() + "<ul class=\"legend\">";
    for (auto const group : ranks) {
        section.content += legend_entry(colour_of(ranks, group), group_name(picture, group));
    }
    section.content += rest_entry(picture, ranks);
    section.content += "</ul></figure>\n" + numbers(picture, ranks);
    if (projection.not_finite > 0) {
        section.content +=
            "<p>" + counted(projection.not_finite, "row") + " with numbers that are not finite left out.</p>";
    }
    return section;
}

} // namespace strandwave
