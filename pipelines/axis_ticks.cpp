#include "pipelines/axis_ticks.h"

#include "lib/core/view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <utility>

namespace strandwave {
namespace {

/// 1, 2 or 5 times a power of ten, about `rough`.
double nice_step(double rough) {
    double const power = std::pow(10, std::floor(std::log10(rough)));
    double const lead = rough / power;
    return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

/// Significant digits that tell neighbouring ticks apart.
int tick_digits(std::vector<double> const& ticks) {
    double most = 6;
    for (std::size_t i = 1; i < ticks.size(); ++i) {
        double const larger = std::max(std::abs(ticks[i - 1]), std::abs(ticks[i]));
        most = std::max(most, std::ceil(std::log10(larger / (ticks[i] - ticks[i - 1]))) + 1);
    }
    return static_cast<int>(std::min(most, 15.0));
}

std::string tick_text(double value, int digits) {
    constexpr std::array<std::pair<double, char const*>, 3> kUnits{{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}}};
    char text[64];
    for (auto const& [size, unit] : kUnits) {
        if (std::abs(value) >= size * (size > 1e3 ? 1 : 10) && std::abs(value) < 1e12) {
            std::snprintf(text, sizeof text, "%.*g%s", digits, value / size, unit);
            return text;
        }
    }
    std::snprintf(text, sizeof text, "%.*g", digits, value);
    return text;
}

} // namespace

std::vector<double> linear_ticks(double low, double high, double wanted) {
    double const step = nice_step((high - low) / wanted);
    double const slack = 1e-9 * (high - low);
    std::vector<double> ticks;
    auto const last = static_cast<index_t>(std::floor((high + slack) / step));
    for (auto i = static_cast<index_t>(std::ceil((low - slack) / step)); i <= last; ++i) {
        ticks.push_back(static_cast<double>(i) * step);
    }
    return ticks;
}

std::vector<double> log_ticks(double low, double high, double wanted) {
    if (high - low < 1) { return linear_ticks(std::pow(10, low), std::pow(10, high), wanted); }
    auto const every = std::max<index_t>(1, std::lround((high - low) / wanted));
    std::vector<double> ticks;
    for (auto power = static_cast<index_t>(std::floor(low)); static_cast<double>(power) <= high; ++power) {
        for (double const lead : {1.0, 2.0, 5.0}) {
            double const place = static_cast<double>(power) + std::log10(lead);
            bool const shown = lead > 1 ? high - low < 3 : power % every == 0;
            if (shown && place >= low && place <= high) {
                ticks.push_back(lead * std::pow(10, static_cast<double>(power)));
            }
        }
    }
    return ticks;
}

std::vector<std::string> tick_texts(std::vector<double> const& ticks) {
    int const digits = tick_digits(ticks);
    std::vector<std::string> texts;
    texts.reserve(ticks.size());
    for (double const tick : ticks) {
        texts.push_back(tick_text(tick, digits));
    }
    return texts;
}

} // namespace strandwave
