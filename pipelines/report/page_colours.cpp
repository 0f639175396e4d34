#include "pipelines/classify_files.h"
#include "pipelines/report/page_sections.h"

#include <algorithm>
#include <numeric>

namespace strandwave {

std::vector<std::size_t> by_size(std::vector<index_t> const& counts) {
    std::vector<std::size_t> order(counts.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return counts[a] > counts[b]; });
    return order;
}

std::vector<std::size_t> ranked(std::vector<index_t> const& counts) {
    auto ranks = by_size(counts);
    auto const occurring = std::count_if(counts.begin(), counts.end(), [](index_t count) { return count > 0; });
    ranks.resize(std::min(static_cast<std::size_t>(occurring), kSeries));
    return ranks;
}

std::vector<std::size_t> class_ranks(BatchSummary const& summary) {
    auto rows = summary.class_rows();
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (summary.classes[i] == kUnclassified) { rows[i] = 0; }
    }
    return ranked(rows);
}

std::string colour_of(std::vector<std::size_t> const& ranks, std::size_t i) {
    auto const found = std::find(ranks.begin(), ranks.end(), i);
    return found == ranks.end() ? "rest" : "k" + std::to_string(found - ranks.begin());
}

std::string legend_entry(std::string const& colour, std::string const& text) {
    return "<li><i class=\"" + colour + "\"></i>" + text + "</li>";
}

} // namespace strandwave
