#include "pipelines/report/page_sections.h"
#include "pipelines/report/page_text.h"

#include <algorithm>
#include <numeric>

namespace strandwave {
namespace {

constexpr std::size_t kMostClasses = 50;

std::string bar(std::string const& colour, double share) {
    if (share == 0) { return {}; }
    return "<div class=\"bar\"><i class=\"" + colour + "\" style=\"width:" + decimals(100 * share, 2) +
           "%\"></i></div>";
}

} // namespace

PageSection classes_section(ReportData const& data) {
    PageSection section{"classes", "Class composition", "", false};
    auto const rows = data.summary.class_rows();
    auto const all = std::accumulate(rows.begin(), rows.end(), index_t{0});
    if (all == 0) { return section; }
    auto const ranks = class_ranks(data.summary);
    auto const order = by_size(rows);
    auto const largest = static_cast<double>(rows[order.front()]);
    PageTable table("Rows of each class, all complete inputs", {{"Class"}, {"Share"}, {"Rows", true}, {"%", true}});
    index_t rest = all;
    auto const shown = std::min(order.size(), kMostClasses);
    for (std::size_t i = 0; i < shown; ++i) {
        auto const k = order[i];
        rest -= rows[k];
        table.row({page_name(data.summary.classes[k]), bar(colour_of(ranks, k), static_cast<double>(rows[k]) / largest),
                   grouped(rows[k]), percent(rows[k], all)});
    }
    if (shown < order.size()) {
        table.row({std::to_string(order.size() - shown) + " more", "", grouped(rest), percent(rest, all)});
    }
    section.content = "<div class=\"composition\">" + table.finish() + "</div>";
    return section;
}

} // namespace strandwave
