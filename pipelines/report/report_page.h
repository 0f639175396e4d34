#pragma once

#include "pipelines/report/report_data.h"

#include <string>

namespace strandwave {

/// A page never has more bytes, whatever the batch: names and messages are cut, lists end, points are thinned.
inline constexpr std::size_t kLargestPage = std::size_t{2} << 20;

/// The report as one HTML file: no script, nothing from outside (its content security policy forbids both), light or
/// dark as the reader has it, a table of numbers behind each picture. The same data gives the same bytes. An empty
/// title is made from the folder's name.
std::string report_page(ReportData const& data, std::string const& title);

} // namespace strandwave
