#pragma once

#include <string>
#include <vector>

namespace strandwave {

/// One curve. Points that are not finite (or beyond 1e300), and with log_y those that are not positive, leave a gap.
struct PlotSeries {
    std::string name;      ///< in the legend
    std::vector<double> x; ///< steps, for example; rising
    std::vector<double> y; ///< as many
};

/// A line chart of 860 x 460 pixels as a file of its own (SVG): title, axes with ticks and labels, grid, legend. Curves
/// are told apart by colour (Okabe and Ito 2008, which colour-blind readers can tell apart) and, from the seventh on,
/// by dashes. Of points that share a column of pixels the first, lowest, highest and last are drawn: a spike of one
/// step stays in sight, and the file is small however long the curve. Short curves also get a dot a point. Without a
/// point to draw the axes run from 0 to 1 (with log_y from 1 to 10). Deterministic.
/// Throws shape_mismatch for a series whose x and y differ in length.
std::string curves_svg(std::string const& title, std::string const& x_label, std::string const& y_label,
                       std::vector<PlotSeries> const& series, bool log_y = false);

} // namespace strandwave
