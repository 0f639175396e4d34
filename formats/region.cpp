#include "formats/region.h"

#include "formats/byte_source.h"
#include "formats/text_cursor.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace strandwave {
namespace {

constexpr std::size_t kMaxBedLine = std::size_t{1} << 20;

/// A whole number without sign; nothing else may stand in `digits`.
std::optional<index_t> parse_number(std::string_view digits) {
    index_t value = 0;
    auto const* const end = digits.data() + digits.size();
    auto const [stop, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc() || stop != end || digits.front() == '-') { return std::nullopt; }
    return value;
}

/// What stands behind the last ':', if it is a range; otherwise the ':' belongs to the name.
struct Range {
    std::optional<index_t> first, last;
};
std::optional<Range> parse_range(std::string text) {
    text.erase(std::remove(text.begin(), text.end(), ','), text.end());
    auto const dash = text.find('-');
    auto const first = std::string_view(text).substr(0, dash);
    auto const last = dash == std::string::npos ? std::string_view() : std::string_view(text).substr(dash + 1);
    Range range{parse_number(first), parse_number(last)};
    bool const bad = (!first.empty() && !range.first) || (!last.empty() && !range.last);
    if (bad || (first.empty() && last.empty())) { return std::nullopt; }
    return range;
}

/// The first four columns; BED parts them by tabs, or by blanks where a line has no tab.
std::vector<std::string_view> bed_columns(std::string_view line) {
    std::string_view const separators = line.find('\t') == std::string_view::npos ? " " : "\t";
    std::vector<std::string_view> columns;
    while (columns.size() < 4 && !line.empty()) {
        auto const size = std::min(line.find_first_of(separators), line.size());
        columns.push_back(line.substr(0, size));
        line.remove_prefix(size);
        if (separators == "\t") {
            line.remove_prefix(line.empty() ? 0 : 1);
        } else {
            line.remove_prefix(std::min(line.find_first_not_of(separators), line.size()));
        }
    }
    return columns;
}

bool is_bed_comment(std::string_view line) {
    auto const first = line.substr(0, line.find_first_of(" \t"));
    return line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#' || first == "track" ||
           first == "browser";
}

} // namespace

Region parse_region(std::string_view text) {
    Region region;
    region.text = text;
    region.sequence = text;
    auto const colon = text.rfind(':');
    if (colon != std::string_view::npos) {
        if (auto const range = parse_range(std::string(text.substr(colon + 1)))) {
            region.sequence = text.substr(0, colon);
            auto const first = range->first.value_or(1);
            if (first < 1) {
                throw Error(ErrorCode::invalid_argument, "region " + region.text + ": positions count from 1");
            }
            if (range->last && *range->last < first) {
                throw Error(ErrorCode::invalid_argument, "region " + region.text + ": ends before it starts");
            }
            region.start = first - 1;
            region.end = range->last.value_or(Region::kToEnd);
        }
    }
    if (region.sequence.empty()) {
        throw Error(ErrorCode::invalid_argument, "region '" + region.text + "' names no sequence");
    }
    return region;
}

Region widened(Region region, index_t flank, index_t sequence_length) {
    region.start -= std::min(flank, region.start);
    region.end += std::min(flank, sequence_length - region.end);
    return region;
}

std::vector<Region> read_bed(std::filesystem::path const& path) {
    TextCursor text(BgzfSource(open_file_bytes(path), input_name(path), 0));
    std::vector<Region> regions;
    std::string line;
    while (!text.at_end()) {
        auto const position = text.position();
        text.next_line(line, kMaxBedLine);
        if (is_bed_comment(line)) { continue; }
        auto const columns = bed_columns(line);
        auto const start = columns.size() < 3 ? std::nullopt : parse_number(columns[1]);
        auto const end = columns.size() < 3 ? std::nullopt : parse_number(columns[2]);
        if (!start || !end || *end < *start || columns[0].empty()) {
            throw text.error_at(position, ErrorCode::malformed_input,
                                "a BED line is a name, a start and an end not before it, parted by tabs");
        }
        regions.push_back({.sequence = std::string(columns[0]),
                           .start = *start,
                           .end = *end,
                           .description = columns.size() > 3 ? std::string(columns[3]) : std::string(),
                           .text = text.name() + ": line " + std::to_string(position.line)});
    }
    return regions;
}

} // namespace strandwave
