#include "pipelines/report/page_plot.h"

#include "pipelines/report/page_text.h"
#include "pipelines/svg.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

constexpr double kFont = 13.5; // on a phone, as page_style has it
constexpr double kLabelRoom = 22;
constexpr double kGap = 6; // between a number and its axis
constexpr double kRight = 368;
constexpr double kTop = 10;
constexpr double kBottom = 214;

std::string line(char const* classes, double x0, double y0, double x1, double y1) {
    return std::string("<path class=\"") + classes + "\" d=\"M" + place(x0) + " " + place(y0) + "L" + place(x1) + " " +
           place(y1) + "\"/>\n";
}

std::string text(char const* classes, double x, double y, std::string const& content, std::string const& more = {}) {
    return std::string("<text class=\"") + classes + "\" x=\"" + place(x) + "\" y=\"" + place(y) + "\"" + more + ">" +
           content + "</text>\n";
}

} // namespace

std::string place(double value) {
    auto text = decimals(std::round(value * 10) / 10 + 0.0, 1);
    return text.substr(text.size() - 2) == ".0" ? text.substr(0, text.size() - 2) : text;
}

PagePlot::PagePlot(PlotNames const& names, PlotAxis x, PlotAxis y) : x_(std::move(x)), y_(std::move(y)) {
    text_ = "<svg viewBox=\"0 0 " + place(kWidth) + " " + place(kHeight) + "\" role=\"img\" aria-labelledby=\"" +
            names.id + "-t " + names.id + "-d\">\n<title id=\"" + names.id + "-t\">" + names.title +
            "</title>\n<desc id=\"" + names.id + "-d\">" + names.description + "</desc>\n";
    for (auto const& number : y_.texts) {
        left_ = std::max(left_, kLabelRoom + text_width(number, kFont) + kGap);
    }
    draw_axes();
}

double PagePlot::across(double x) const { return left_ + (x - x_.low) / (x_.high - x_.low) * (kRight - left_); }

double PagePlot::up(double y) const { return kBottom - (y - y_.low) / (y_.high - y_.low) * (kBottom - kTop); }

void PagePlot::rectangle(double x0, double x1, double y0, double y1, std::string_view classes, std::string_view title) {
    text_ += "<rect class=\"" + std::string(classes) + "\" x=\"" + place(across(x0)) + "\" y=\"" + place(up(y1)) +
             "\" width=\"" + place(across(x1) - across(x0)) + "\" height=\"" + place(up(y0) - up(y1)) + "\"";
    text_ += title.empty() ? "/>\n" : "><title>" + std::string(title) + "</title></rect>\n";
}

void PagePlot::draw_axes() {
    double free = 0; // from where on there is no number yet
    for (std::size_t i = 0; i < x_.ticks.size(); ++i) {
        double const x = across(x_.ticks[i]);
        text_ += line("grid", x, kTop, x, kBottom);
        double const half = text_width(x_.texts[i], kFont) / 2;
        if (x - half < free) { continue; }
        free = x + half + kGap;
        text_ += text("tick", x, kBottom + 16, x_.texts[i], " text-anchor=\"middle\"");
    }
    for (std::size_t i = 0; i < y_.ticks.size(); ++i) {
        double const y = up(y_.ticks[i]);
        text_ += line("grid", left_, y, kRight, y);
        text_ += text("tick", left_ - kGap, y + 4, y_.texts[i], " text-anchor=\"end\"");
    }
    text_ += line("axis", left_, kBottom, kRight, kBottom);
    text_ += text("label", (left_ + kRight) / 2, kHeight - 10, x_.label, " text-anchor=\"middle\"");
    double const middle = (kTop + kBottom) / 2;
    text_ += text("label", 11, middle, y_.label,
                  " text-anchor=\"middle\" transform=\"rotate(-90 11 " + place(middle) + ")\"");
}

std::string PagePlot::finish() const { return text_ + "</svg>\n"; }

} // namespace strandwave
