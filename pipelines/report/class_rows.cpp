#include "pipelines/report/class_rows.h"

#include "formats/byte_source.h"
#include "formats/file_bytes.h"
#include "pipelines/report/tab_table.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

namespace strandwave {
namespace {

constexpr std::size_t kLongestLine = std::size_t{16} << 20;

using TakeRow = std::function<void(ClassifiedRow const& row)>;

bool ends_with(std::string_view text, std::string_view end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string_view without_gz(std::string_view file) {
    return ends_with(file, ".gz") ? file.substr(0, file.size() - 3) : file;
}

void read_table(std::filesystem::path const& file, TakeRow const& take) {
    TabTable table(file);
    bool const seconds = table.find("start_s").has_value();
    auto const name = table.column("name");
    auto const start = table.column(seconds ? "start_s" : "start");
    auto const end = table.column(seconds ? "end_s" : "end");
    auto const label = table.column("label");
    auto const probability = table.column("probability");
    ClassifiedRow row;
    row.seconds = seconds;
    while (table.next()) {
        row.name = table.cell(name);
        row.label = table.cell(label);
        row.probability = table.number(probability);
        row.length = table.number(end) - table.number(start);
        take(row);
    }
}

ClassifiedRow row_of(nlohmann::json const& line) {
    ClassifiedRow row;
    row.name = line.at("name").get<std::string>();
    row.label = line.at("label").get<std::string>();
    row.seconds = line.contains("start_s");
    row.length =
        line.at(row.seconds ? "end_s" : "end").get<double>() - line.at(row.seconds ? "start_s" : "start").get<double>();
    auto const& probability = line.at("probability"); // JSON has no NaN
    row.probability = probability.is_null() ? std::numeric_limits<double>::quiet_NaN() : probability.get<double>();
    return row;
}

void read_json_lines(std::filesystem::path const& file, TakeRow const& take) {
    TextCursor text(BgzfSource(open_file_bytes(file), input_name(file), 0));
    for (std::string line; !text.at_end();) {
        auto const place = text.position();
        if (text.next_line(line, kLongestLine) != TextCursor::LineEnd::newline) {
            throw text.error_at(place, ErrorCode::truncated_input,
                                "the last line has no end, so the file is cut short");
        }
        std::optional<ClassifiedRow> row;
        try {
            row = row_of(nlohmann::json::parse(line));
        } catch (nlohmann::json::exception const& failure) {
            throw text.error_at(place, ErrorCode::malformed_input,
                                std::string("not a row of classes: ") + failure.what());
        }
        take(*row);
    }
}

} // namespace

bool is_class_table(std::string_view file) {
    auto const plain = without_gz(file);
    return ends_with(plain, ".classes.tsv") || ends_with(plain, ".classes.jsonl");
}

void read_class_rows(std::filesystem::path const& file, std::function<void(ClassifiedRow const& row)> const& take) {
    if (ends_with(without_gz(file.native()), ".jsonl")) {
        read_json_lines(file, take);
    } else {
        read_table(file, take);
    }
}

} // namespace strandwave
