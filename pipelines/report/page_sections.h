#pragma once

#include "pipelines/report/report_data.h"

#include <string>
#include <vector>

// The parts of a report's page, a figure a file. A section without content has nothing to show and is left out.

namespace strandwave {

struct PageSection {
    std::string id;
    std::string title;
    std::string content; ///< HTML
    bool wide = false;   ///< takes the page's whole width, else a half where there is room
};

PageSection problems_section(ReportData const& data);
PageSection classes_section(ReportData const& data);
PageSection confidence_section(ReportData const& data);
PageSection length_section(ReportData const& data);
PageSection confusion_section(ReportData const& data);
PageSection embeddings_section(ReportData const& data);
PageSection inputs_section(ReportData const& data);
PageSection failures_section(ReportData const& data);
PageSection run_section(ReportData const& data);

/// Colours that are told apart, by rank: the most frequent kSeries get one each, all further ones share one.
inline constexpr std::size_t kSeries = 7;

/// The numbers of all counts, the largest first; of equal ones the first.
std::vector<std::size_t> by_size(std::vector<index_t> const& counts);

/// The first of them that get a colour of their own: at most kSeries, none that is 0.
std::vector<std::size_t> ranked(std::vector<index_t> const& counts);

/// The same of the classes, by their rows in the whole run; what is unclassified has no rank.
std::vector<std::size_t> class_ranks(BatchSummary const& summary);

/// The CSS class of the colour of number `i` in `ranks`.
std::string colour_of(std::vector<std::size_t> const& ranks, std::size_t i);

/// A spot of a colour and what it stands for, for legends.
std::string legend_entry(std::string const& colour, std::string const& text);

} // namespace strandwave
