#include "lib/core/error.h"
#include "pipelines/confusion_plot.h"
#include "pipelines/curve_plot.h"
#include "pipelines/svg.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <sstream>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::size_t count(std::string const& text, std::string const& what) {
    std::size_t found = 0;
    for (auto place = text.find(what); place != std::string::npos; place = text.find(what, place + 1)) {
        ++found;
    }
    return found;
}

/// A curve's part of the picture: polylines of its colour and width.
std::vector<std::string> curves(std::string const& svg, std::string const& colour) {
    std::vector<std::string> found;
    std::istringstream lines(svg);
    for (std::string line; std::getline(lines, line);) {
        if (line.find("stroke=\"" + colour + "\" stroke-width=\"1.6\"") != std::string::npos) { found.push_back(line); }
    }
    return found;
}

void expect_whole(std::string const& svg) {
    EXPECT_EQ(svg.rfind("<svg xmlns=\"http://www.w3.org/2000/svg\"", 0), 0U);
    EXPECT_EQ(svg.substr(svg.size() - 7), "</svg>\n");
    EXPECT_EQ(svg.find("nan"), std::string::npos);
    EXPECT_EQ(svg.find("inf"), std::string::npos);
    EXPECT_EQ(count(svg, "<text"), count(svg, "</text>"));
}

TEST(CurvePlot, HoldsTitleAxesAndLegendEscaped) {
    auto const svg =
        curves_svg("Loss & <more>", "step", "loss", {{"train", {0, 1, 2}, {3, 2, 1}}, {"held out", {}, {}}});
    expect_whole(svg);
    for (auto const* word :
         {">Loss &amp; &lt;more&gt;<", ">step<", ">loss<", ">train<", ">held out<", ">0.4<", ">2<"}) {
        EXPECT_NE(svg.find(word), std::string::npos) << word;
    }
    EXPECT_EQ(curves(svg, "#0072b2").size(), 1U);
    EXPECT_EQ(count(svg, "<circle"), 3U) << "a dot a point of a short curve";
    EXPECT_EQ(svg,
              curves_svg("Loss & <more>", "step", "loss", {{"train", {0, 1, 2}, {3, 2, 1}}, {"held out", {}, {}}}));
}

TEST(CurvePlot, PointsThatAreNotFiniteLeaveAGap) {
    auto const svg = curves_svg("", "", "", {{"a", {0, 1, 2, 3, 4}, {1, 2, kNaN, 2, 1}}});
    expect_whole(svg);
    EXPECT_EQ(curves(svg, "#0072b2").size(), 2U);
    auto const logarithmic = curves_svg("", "", "", {{"a", {0, 1, 2, 3, 4}, {1, 2, 0, -2, 1}}}, true);
    expect_whole(logarithmic);
    EXPECT_EQ(curves(logarithmic, "#0072b2").size(), 1U);
    EXPECT_EQ(count(logarithmic, "<circle"), 3U);
}

TEST(CurvePlot, ALogarithmicAxisHasPowersOfTen) {
    auto const svg = curves_svg("", "step", "loss", {{"a", {0, 1}, {0.001, 100}}}, true);
    expect_whole(svg);
    for (auto const* tick : {">0.001<", ">0.01<", ">1<", ">100<", ">loss (log scale)<"}) {
        EXPECT_NE(svg.find(tick), std::string::npos) << tick;
    }
}

TEST(CurvePlot, TicksOfLargeStepsAreToldApart) {
    auto const svg = curves_svg("", "", "", {{"a", {0, 20000, 3000000}, {1e6, 1e6 + 20, 1e6 + 50}}});
    for (auto const* tick : {">1M<", ">1.00001M<", ">1.00005M<", ">500k<", ">2.5M<"}) {
        EXPECT_NE(svg.find(tick), std::string::npos) << tick;
    }
}

TEST(CurvePlot, NothingOnePointAndAConstantStillHaveAxes) {
    expect_whole(curves_svg("", "", "", {}));
    expect_whole(curves_svg("", "", "", {}, true));
    expect_whole(curves_svg("", "", "", {{"a", {5}, {0}}}));
    expect_whole(curves_svg("", "", "", {{"a", {5}, {1e-30}}}, true));
    expect_whole(curves_svg("", "", "", {{"a", {1, 2}, {1e300, 1e300}}}));
    expect_whole(curves_svg("", "", "", {{"a", {1, 2}, {-1e308, 1e308}}}));
    expect_whole(curves_svg("", "", "", {{"a", {1, 2}, {-1e300, 1e300}}}));
}

TEST(CurvePlot, ALongCurveIsThinnedAndKeepsItsSpike) {
    PlotSeries series{"a", {}, {}};
    for (int i = 0; i < 100000; ++i) {
        series.x.push_back(i);
        series.y.push_back(1 + 0.01 * (i % 7));
    }
    series.y[54321] = 9;
    auto const svg = curves_svg("", "", "", {series});
    expect_whole(svg);
    auto const lines = curves(svg, "#0072b2");
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_LE(count(lines[0], ","), 4U * 860U) << "four points a column of pixels";
    // The highest place a curve can have lies 1/22 of the axis (5 % of air on both sides) below the top, 46.
    EXPECT_NE(lines[0].find(",62.27 "), std::string::npos) << "46 + 358 / 22";
}

TEST(CurvePlot, RefusesXAndYOfOtherLengths) { EXPECT_THROW(curves_svg("", "", "", {{"a", {1, 2}, {1}}}), Error); }

TEST(ConfusionPlot, HasEveryCountThatIsNotZero) {
    Confusion confusion(3);
    confusion.counts = {12345, 0, 7, 0, 0, 0, 1, 2, 300};
    auto const svg = confusion_svg("title", {"one", "two & a half", std::string(50, 'x')}, confusion);
    expect_whole(svg);
    for (auto const* word : {">12345<", ">7<", ">300<", ">two &amp; a half<", ">title<"}) {
        EXPECT_NE(svg.find(word), std::string::npos) << word;
    }
    EXPECT_EQ(svg.find(">0</text>"), svg.rfind(">0</text>")) << "only in the legend";
    EXPECT_EQ(svg.find(std::string(33, 'x')), std::string::npos) << "a long name is cut short";
    EXPECT_THROW(confusion_svg("", {"one"}, confusion), Error);
}

TEST(Svg, ShortensByCharactersNotBytes) {
    EXPECT_EQ(shortened("abc", 3), "abc");
    EXPECT_EQ(shortened("abcd", 3), "ab\xe2\x80\xa6");
    EXPECT_EQ(shortened("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", 4), "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f");
    EXPECT_EQ(shortened("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", 3), "\xc3\xa4\xc3\xb6\xe2\x80\xa6");
    EXPECT_EQ(text_width("\xc3\xa4", 10), text_width("a", 10));
}

} // namespace
} // namespace strandwave
