#include "pipelines/curve_plot.h"

#include "lib/core/check.h"
#include "pipelines/axis_ticks.h"
#include "pipelines/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace strandwave {
namespace {

constexpr double kWidth = 860;
constexpr double kHeight = 460;
constexpr double kLeft = 76;
constexpr double kTop = 46;
constexpr double kBottom = 56;
constexpr double kLegendKey = 26; ///< length of the piece of line beside a name
constexpr std::size_t kLegendCharacters = 26;
constexpr std::size_t kDottedPoints = 60; ///< curves of no more points get dots
constexpr double kTicks = 6;              ///< about as many as an axis gets

struct Style {
    char const* colour;
    char const* dashes;
};
constexpr std::array<char const*, 6> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"};
constexpr std::array<char const*, 3> kDashes{"", "6 3", "2 3"};

Style style_of(std::size_t i) { return {kColours[i % kColours.size()], kDashes[i / kColours.size() % kDashes.size()]}; }

constexpr double kLargest = 1e300; ///< a larger value counts as infinite, so that no difference overflows

/// An axis from `low` to `high`, in the logarithm to base 10 if `log`.
struct Axis {
    double low = 0;
    double high = 1;
    bool log = false;

    double scaled(double value) const { return log ? std::log10(value) : value; }
    bool holds(double value) const { return std::abs(value) <= kLargest && (!log || value > 0); }
    double share(double value) const { return (scaled(value) - low) / (high - low); }
};

std::vector<double> ticks_of(Axis const& axis) {
    return axis.log ? log_ticks(axis.low, axis.high, kTicks) : linear_ticks(axis.low, axis.high, kTicks);
}

/// Holds every point that can be drawn; `air` widens it by that share on both sides.
Axis fitted(Axis axis, std::vector<PlotSeries> const& series, std::vector<double> PlotSeries::*values,
            Axis const* other, std::vector<double> PlotSeries::*others, double air) {
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (auto const& one : series) {
        for (std::size_t i = 0; i < (one.*values).size(); ++i) {
            double const value = (one.*values)[i];
            if (!axis.holds(value) || (other != nullptr && !other->holds((one.*others)[i]))) { continue; }
            low = std::min(low, axis.scaled(value));
            high = std::max(high, axis.scaled(value));
        }
    }
    if (low > high) { return axis; }
    if (high - low <= 1e-12 * std::max(std::abs(low), std::abs(high))) { // one value: room on both sides
        double const room = axis.log ? 0.5 : std::max(0.5 * std::abs(low), 1e-6);
        low -= room;
        high += room;
    }
    double const margin = air * (high - low);
    // A quantity that is never negative gets no axis below 0,
    axis.low = !axis.log && low >= 0 ? std::max(0.0, low - margin) : low - margin;
    // and a share none above 1.
    axis.high = !axis.log && low >= 0 && high <= 1 ? std::min(1.0, high + margin) : high + margin;
    return axis;
}

/// The inner part of the picture, where curves are.
struct Frame {
    Axis x, y;
    double right = 0;

    double bottom() const { return kHeight - kBottom; }
    SvgPoint place(double x_value, double y_value) const {
        return {across(x_value), bottom() - y.share(y_value) * (bottom() - kTop)};
    }
    double across(double x_value) const { return kLeft + x.share(x_value) * (right - kLeft); }
    double up(double y_value) const { return bottom() - y.share(y_value) * (bottom() - kTop); }
};

void draw_axes(SvgPicture& picture, Frame const& frame, std::string const& x_label, std::string const& y_label) {
    auto const x_ticks = ticks_of(frame.x);
    auto const x_texts = tick_texts(x_ticks);
    for (std::size_t i = 0; i < x_ticks.size(); ++i) {
        double const x = frame.across(x_ticks[i]);
        picture.line({{x, kTop}, {x, frame.bottom()}}, "#e8e8e8", 1);
        picture.line({{x, frame.bottom()}, {x, frame.bottom() + 5}}, "#444444", 1);
        picture.text({x, frame.bottom() + 19}, x_texts[i], {12, "middle"});
    }
    auto const y_ticks = ticks_of(frame.y);
    auto const y_texts = tick_texts(y_ticks);
    for (std::size_t i = 0; i < y_ticks.size(); ++i) {
        double const y = frame.up(y_ticks[i]);
        picture.line({{kLeft, y}, {frame.right, y}}, "#e8e8e8", 1);
        picture.line({{kLeft - 5, y}, {kLeft, y}}, "#444444", 1);
        picture.text({kLeft - 9, y + 4}, y_texts[i], {12, "end"});
    }
    picture.line({{kLeft, kTop}, {kLeft, frame.bottom()}, {frame.right, frame.bottom()}}, "#444444", 1);
    picture.text({(kLeft + frame.right) / 2, kHeight - 14}, x_label, {13, "middle"});
    picture.text({19, (kTop + frame.bottom()) / 2}, y_label + (frame.y.log ? " (log scale)" : ""),
                 {13, "middle", "#222222", -90});
}

/// Of each column of pixels the first, lowest, highest and last point, in their order.
std::vector<SvgPoint> thinned(std::vector<SvgPoint> const& points) {
    std::vector<SvgPoint> kept;
    for (std::size_t begin = 0; begin < points.size();) {
        std::size_t end = begin;
        std::size_t lowest = begin;
        std::size_t highest = begin;
        for (; end < points.size() && std::floor(points[end].x) == std::floor(points[begin].x); ++end) {
            if (points[end].y < points[lowest].y) { lowest = end; }
            if (points[end].y > points[highest].y) { highest = end; }
        }
        std::array<std::size_t, 4> places{begin, std::min(lowest, highest), std::max(lowest, highest), end - 1};
        for (std::size_t i = 0; i < places.size(); ++i) {
            if (i == 0 || places[i] != places[i - 1]) { kept.push_back(points[places[i]]); }
        }
        begin = end;
    }
    return kept;
}

void draw_curve(SvgPicture& picture, Frame const& frame, PlotSeries const& one, Style style) {
    std::vector<SvgPoint> run; // between two gaps
    auto const draw = [&] {
        if (run.size() > 1) { picture.line(thinned(run), style.colour, 1.6, style.dashes); }
        if (run.size() == 1 || one.x.size() <= kDottedPoints) {
            for (auto const& point : run) {
                picture.circle(point, 2.4, style.colour);
            }
        }
        run.clear();
    };
    for (std::size_t i = 0; i < one.x.size(); ++i) {
        if (frame.x.holds(one.x[i]) && frame.y.holds(one.y[i])) {
            run.push_back(frame.place(one.x[i], one.y[i]));
        } else {
            draw();
        }
    }
    draw();
}

void draw_legend(SvgPicture& picture, Frame const& frame, std::vector<PlotSeries> const& series) {
    for (std::size_t i = 0; i < series.size(); ++i) {
        double const x = frame.right + 16;
        double const y = kTop + 10 + 20 * static_cast<double>(i);
        auto const style = style_of(i);
        picture.line({{x, y}, {x + kLegendKey, y}}, style.colour, 2.4, style.dashes);
        picture.text({x + kLegendKey + 7, y + 4}, shortened(series[i].name, kLegendCharacters), {12});
    }
}

double legend_width(std::vector<PlotSeries> const& series) {
    double widest = 0;
    for (auto const& one : series) {
        widest = std::max(widest, text_width(shortened(one.name, kLegendCharacters), 12));
    }
    return series.empty() ? 20 : 16 + kLegendKey + 7 + widest + 8;
}

} // namespace

std::string curves_svg(std::string const& title, std::string const& x_label, std::string const& y_label,
                       std::vector<PlotSeries> const& series, bool log_y) {
    for (auto const& one : series) {
        check_extent("curves_svg", "y of a series", static_cast<index_t>(one.y.size()),
                     static_cast<index_t>(one.x.size()));
    }
    Axis const y{0, 1, log_y};
    Frame frame;
    frame.x = fitted({}, series, &PlotSeries::x, &y, &PlotSeries::y, 0);
    frame.y = fitted(y, series, &PlotSeries::y, &frame.x, &PlotSeries::x, 0.05);
    frame.right = kWidth - legend_width(series);

    SvgPicture picture(kWidth, kHeight);
    picture.text({kLeft, 27}, title, {16, "start", "#111111", 0, true});
    draw_axes(picture, frame, x_label, y_label);
    for (std::size_t i = 0; i < series.size(); ++i) {
        draw_curve(picture, frame, series[i], style_of(i));
    }
    draw_legend(picture, frame, series);
    return picture.finish();
}

} // namespace strandwave
