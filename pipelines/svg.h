#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

struct SvgPoint {
    double x = 0;
    double y = 0;
};

struct SvgText {
    double size = 13;
    char const* anchor = "start"; ///< start, middle or end lies at the point
    char const* colour = "#222222";
    double degrees = 0; ///< turned clockwise about the point
    bool bold = false;
};

/// A picture on a white ground as text, with nothing outside itself: the font is the viewer's sans-serif. Lengths are
/// pixels; coordinates are written to a hundredth, so that the same picture is the same bytes everywhere.
class SvgPicture {
public:
    SvgPicture(double width, double height);

    void rectangle(SvgPoint corner, double width, double height, std::string_view fill);
    void circle(SvgPoint centre, double radius, std::string_view fill);
    /// `dashes` as stroke-dasharray takes them; empty: a whole line.
    void line(std::vector<SvgPoint> const& points, std::string_view stroke, double width, std::string_view dashes = {});
    /// One line of text, the base line at the point. Markup is escaped, control characters become `_`.
    void text(SvgPoint at, std::string_view text, SvgText const& style = {});

    std::string finish() const; ///< the whole file

private:
    std::string text_;
};

/// Room for one line of text in a usual sans-serif font, a little too wide rather than too narrow. Counts UTF-8.
double text_width(std::string_view text, double size);

/// At most `characters` of it, the last one an ellipsis where something was cut away. Counts UTF-8.
std::string shortened(std::string_view text, std::size_t characters);

} // namespace strandwave
