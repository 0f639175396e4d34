#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

struct PlotAxis {
    std::string label;
    double low = 0, high = 1;
    std::vector<double> ticks; ///< where, as low and high
    std::vector<std::string> texts;
};

struct PlotNames {
    std::string id;          ///< of the picture in its page
    std::string title;       ///< HTML, as all texts here
    std::string description; ///< what one who cannot see it should know
};

/// A picture with two axes inside a page (inline SVG), 380 units wide, so that it fills a phone's width; colours and
/// sizes of text come from the classes of page_style. Where numbers of the x axis would touch, some are left out.
class PagePlot {
public:
    PagePlot(PlotNames const& names, PlotAxis x, PlotAxis y);

    double across(double x) const;
    double up(double y) const;

    void rectangle(double x0, double x1, double y0, double y1, std::string_view classes, std::string_view title = {});
    void add(std::string_view svg) { text_ += svg; } ///< in the picture's units
    std::string finish() const;

    static constexpr double kWidth = 380;
    static constexpr double kHeight = 260;

private:
    void draw_axes();

    PlotAxis x_, y_;
    double left_ = 0; ///< of the y axis: behind its label and the widest of its numbers
    std::string text_;
};

/// A coordinate to a tenth of a unit.
std::string place(double value);

} // namespace strandwave
