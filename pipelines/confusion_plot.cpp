#include "pipelines/confusion_plot.h"

#include "lib/core/check.h"
#include "pipelines/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace strandwave {
namespace {

constexpr double kFont = 13;
constexpr double kMargin = 16;
constexpr double kTitle = 46;    ///< above everything else
constexpr double kAxisName = 24; ///< for "true class", "predicted class"
constexpr double kLegend = 62;   ///< below the cells
constexpr double kSmallestCell = 34;
constexpr std::size_t kNameCharacters = 32;
constexpr double kSlope = 0.7071067811865476; ///< names of columns are turned by 45 degrees

/// From almost white over blue to almost black blue, equal steps of lightness.
std::string shade(double share) {
    constexpr std::array<std::array<double, 3>, 3> kStops{{{247, 251, 255}, {107, 174, 214}, {8, 48, 107}}};
    double const place = std::clamp(share, 0.0, 1.0) * 2;
    auto const below = static_cast<std::size_t>(place < 1 ? 0 : 1);
    double const part = place - static_cast<double>(below);
    std::array<unsigned, 3> rgb{};
    for (std::size_t i = 0; i < 3; ++i) {
        rgb[i] =
            static_cast<unsigned>(std::lround(kStops[below][i] + part * (kStops[below + 1][i] - kStops[below][i])));
    }
    char text[16];
    std::snprintf(text, sizeof text, "#%02x%02x%02x", rgb[0], rgb[1], rgb[2]);
    return text;
}

double widest(std::vector<std::string> const& texts, double size) {
    double width = 0;
    for (auto const& text : texts) {
        width = std::max(width, text_width(text, size));
    }
    return width;
}

/// Where the cells are.
struct Grid {
    double left = 0;
    double top = 0;
    double cell = 0;

    SvgPoint corner(index_t row, index_t column) const {
        return {left + cell * static_cast<double>(column), top + cell * static_cast<double>(row)};
    }
};

void draw_cells(SvgPicture& picture, Grid const& grid, Confusion const& confusion) {
    for (index_t t = 0; t < confusion.classes; ++t) {
        auto const rows = static_cast<double>(std::max<index_t>(confusion.truths(t), 1));
        for (index_t p = 0; p < confusion.classes; ++p) {
            double const share = static_cast<double>(confusion(t, p)) / rows;
            auto const corner = grid.corner(t, p);
            picture.rectangle({corner.x + 1, corner.y + 1}, grid.cell - 2, grid.cell - 2, shade(share));
            if (confusion(t, p) == 0) { continue; }
            picture.text({corner.x + grid.cell / 2, corner.y + grid.cell / 2 + 0.35 * kFont},
                         std::to_string(confusion(t, p)),
                         {kFont, "middle", share > 0.5 ? "#ffffff" : "#111111", 0, t == p});
        }
    }
}

void draw_names(SvgPicture& picture, Grid const& grid, std::vector<std::string> const& names) {
    for (std::size_t k = 0; k < names.size(); ++k) {
        auto const place = grid.corner(static_cast<index_t>(k), static_cast<index_t>(k));
        picture.text({grid.left - 8, place.y + grid.cell / 2 + 0.35 * kFont}, names[k], {kFont, "end"});
        picture.text({place.x + grid.cell / 2 + 4, grid.top - 8}, names[k], {kFont, "start", "#222222", -45});
    }
}

/// What the shades mean.
void draw_legend(SvgPicture& picture, double left, double top) {
    constexpr int kSteps = 50;
    constexpr double kStep = 3;
    for (int i = 0; i < kSteps; ++i) {
        picture.rectangle({left + kStep * i, top + 22}, kStep + 0.5, 10, shade((i + 0.5) / kSteps));
    }
    picture.text({left, top + 14}, "share of the true class's rows", {11});
    picture.text({left, top + 46}, "0", {11, "middle"});
    picture.text({left + kStep * kSteps / 2, top + 46}, "0.5", {11, "middle"});
    picture.text({left + kStep * kSteps, top + 46}, "1", {11, "middle"});
}

} // namespace

std::string confusion_svg(std::string const& title, std::vector<std::string> const& names, Confusion const& confusion) {
    check_extent("confusion_svg", "names", static_cast<index_t>(names.size()), confusion.classes);
    std::vector<std::string> shown;
    std::transform(names.begin(), names.end(), std::back_inserter(shown),
                   [](std::string const& name) { return shortened(name, kNameCharacters); });
    double const name_width = widest(shown, kFont);
    auto const largest = *std::max_element(confusion.counts.begin(), confusion.counts.end());

    Grid grid;
    grid.cell =
        std::max(confusion.classes <= 12 ? 54.0 : kSmallestCell, text_width(std::to_string(largest), kFont) + 12);
    grid.left = kMargin + kAxisName + name_width + 8;
    grid.top = kTitle + kAxisName + kSlope * (name_width + kFont) + 8;
    double const side = grid.cell * static_cast<double>(confusion.classes);
    double const legend_end = grid.left + 170;
    double const names_end = grid.left + side + kSlope * name_width;
    double const width = std::max({names_end, legend_end, kMargin + text_width(title, 16)}) + kMargin;

    SvgPicture picture(width, grid.top + side + kLegend);
    picture.text({kMargin, 28}, title, {16, "start", "#111111", 0, true});
    picture.text({grid.left + side / 2, kTitle + 12}, "predicted class", {kFont, "middle", "#555555"});
    picture.text({kMargin + 8, grid.top + side / 2}, "true class", {kFont, "middle", "#555555", -90});
    draw_cells(picture, grid, confusion);
    draw_names(picture, grid, shown);
    draw_legend(picture, grid.left, grid.top + side + 4);
    return picture.finish();
}

} // namespace strandwave
