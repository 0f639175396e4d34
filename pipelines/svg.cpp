#include "pipelines/svg.h"

#include <algorithm>
#include <cstdio>

namespace strandwave {
namespace {

/// Characters of a line that are this share of the font's size wide on average: 0.55 in Arial, 0.6 in DejaVu Sans.
constexpr double kCharacterWidth = 0.61;

std::string number(double value) {
    char text[64];
    std::snprintf(text, sizeof text, "%.2f", value);
    std::string trimmed = text;
    trimmed.erase(trimmed.find_last_not_of('0') + 1);
    if (trimmed.back() == '.') { trimmed.pop_back(); }
    return trimmed == "-0" ? "0" : trimmed;
}

std::string attribute(char const* name, std::string_view value) {
    return " " + std::string(name) + "=\"" + std::string(value) + "\"";
}

std::string attribute(char const* name, double value) { return attribute(name, number(value)); }

std::string escaped(std::string_view text) {
    std::string out;
    for (char const c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '&') {
            out += "&amp;";
        } else if (c == '<') {
            out += "&lt;";
        } else if (c == '>') {
            out += "&gt;";
        } else {
            out += byte < 0x20 || byte == 0x7f ? '_' : c;
        }
    }
    return out;
}

bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }

} // namespace

SvgPicture::SvgPicture(double width, double height)
    : text_("<svg xmlns=\"http://www.w3.org/2000/svg\"" + attribute("width", width) + attribute("height", height) +
            attribute("viewBox", "0 0 " + number(width) + " " + number(height)) +
            " font-family=\"Helvetica, Arial, sans-serif\">\n") {
    rectangle({0, 0}, width, height, "#ffffff");
}

void SvgPicture::rectangle(SvgPoint corner, double width, double height, std::string_view fill) {
    text_ += "<rect" + attribute("x", corner.x) + attribute("y", corner.y) + attribute("width", width) +
             attribute("height", height) + attribute("fill", fill) + "/>\n";
}

void SvgPicture::circle(SvgPoint centre, double radius, std::string_view fill) {
    text_ += "<circle" + attribute("cx", centre.x) + attribute("cy", centre.y) + attribute("r", radius) +
             attribute("fill", fill) + "/>\n";
}

void SvgPicture::line(std::vector<SvgPoint> const& points, std::string_view stroke, double width,
                      std::string_view dashes) {
    std::string places;
    for (auto const& point : points) {
        places += (places.empty() ? "" : " ") + number(point.x) + "," + number(point.y);
    }
    text_ += "<polyline" + attribute("points", places) + attribute("fill", "none") + attribute("stroke", stroke) +
             attribute("stroke-width", width) + attribute("stroke-linejoin", "round");
    if (!dashes.empty()) { text_ += attribute("stroke-dasharray", dashes); }
    text_ += "/>\n";
}

void SvgPicture::text(SvgPoint at, std::string_view text, SvgText const& style) {
    text_ += "<text" + attribute("x", at.x) + attribute("y", at.y) + attribute("font-size", style.size) +
             attribute("text-anchor", style.anchor) + attribute("fill", style.colour);
    if (style.bold) { text_ += attribute("font-weight", "bold"); }
    if (style.degrees != 0) {
        text_ +=
            attribute("transform", "rotate(" + number(style.degrees) + " " + number(at.x) + " " + number(at.y) + ")");
    }
    text_ += ">" + escaped(text) + "</text>\n";
}

std::string SvgPicture::finish() const { return text_ + "</svg>\n"; }

double text_width(std::string_view text, double size) {
    return kCharacterWidth * size * static_cast<double>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string shortened(std::string_view text, std::size_t characters) {
    std::size_t count = 0;
    std::size_t keep = 0; // bytes of all characters but the last that fits
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (!begins_character(text[i])) { continue; }
        if (++count == characters) { keep = i; }
    }
    return count <= characters ? std::string(text) : std::string(text.substr(0, keep)) + "\xe2\x80\xa6";
}

} // namespace strandwave
