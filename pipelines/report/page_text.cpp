#include "pipelines/report/page_text.h"

#include "formats/utf8.h"
#include "pipelines/svg.h"

#include <array>
#include <cmath>
#include <cstdio>

namespace strandwave {
namespace {

constexpr char const* kDash = "\xe2\x80\x93";

std::string formatted(char const* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

} // namespace

std::string page_text(std::string_view text, std::size_t characters) {
    std::string out;
    // Four bytes a character: what is cut off here would be cut off below.
    for (char const c : shortened(repair_utf8(text.substr(0, 4 * characters + 4)), characters)) {
        auto const byte = static_cast<unsigned char>(c);
        switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += byte < 0x20 || byte == 0x7f ? '_' : c;
        }
    }
    return out;
}

std::string page_name(std::string_view text, std::size_t characters) {
    return "<bdi>" + page_text(text, characters) + "</bdi>";
}

std::string grouped(index_t value) {
    std::string text = std::to_string(value);
    auto const digits_begin = static_cast<std::size_t>(value < 0 ? 1 : 0);
    for (auto place = text.size(); place > digits_begin + 3; place -= 3) {
        text.insert(place - 3, ",");
    }
    return text;
}

std::string decimals(double value, int digits) {
    if (!std::isfinite(value)) { return kDash; }
    char text[400];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string percent(double share) { return std::isfinite(share) ? decimals(100 * share, 1) + "%" : kDash; }

std::string percent(index_t part, index_t whole) {
    return whole > 0 ? percent(static_cast<double>(part) / static_cast<double>(whole)) : kDash;
}

std::string spoken_seconds(double seconds) {
    if (!std::isfinite(seconds) || seconds < 0 || seconds > 1e15) { return kDash; }
    if (seconds < 60) { return formatted("%.3g", seconds) + " s"; }
    auto const whole = static_cast<index_t>(std::llround(seconds));
    if (whole < 3600) { return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s"; }
    return grouped(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::string spoken_bytes(double bytes) {
    constexpr std::array<char const*, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
    if (!std::isfinite(bytes) || bytes < 0) { return kDash; }
    std::size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < kUnits.size()) {
        bytes /= 1024;
        ++unit;
    }
    return formatted(unit == 0 ? "%.0f" : "%.1f", bytes) + " " + kUnits[unit];
}

std::string counted(index_t value, char const* one) { return grouped(value) + " " + one + (value == 1 ? "" : "s"); }

PageTable::PageTable(std::string const& caption, std::vector<Column> columns)
    : caption_(caption), columns_(std::move(columns)) {}

void PageTable::row(std::vector<std::string> const& cells) {
    text_ += "<tr>";
    for (std::size_t i = 0; i < cells.size(); ++i) {
        std::string const side = columns_[i].number ? " class=\"n\"" : "";
        text_ +=
            i == 0 ? "<th scope=\"row\"" + side + ">" + cells[i] + "</th>" : "<td" + side + ">" + cells[i] + "</td>";
    }
    text_ += "</tr>\n";
}

std::string PageTable::finish() const {
    std::string out = "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"" + caption_ +
                      "\"><table>\n<caption>" + caption_ + "</caption>\n<thead><tr>";
    for (auto const& column : columns_) {
        out += std::string("<th scope=\"col\"") + (column.number ? " class=\"n\"" : "") + ">" + column.title + "</th>";
    }
    return out + "</tr></thead>\n<tbody>\n" + text_ + "</tbody></table></div>\n";
}

std::string folded(std::string const& summary, std::string const& content) {
    return "<details><summary>" + summary + "</summary>\n" + content + "</details>\n";
}

} // namespace strandwave
