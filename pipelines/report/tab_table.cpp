#include "pipelines/report/tab_table.h"

#include "formats/byte_source.h"
#include "formats/file_bytes.h"
#include "pipelines/table_cells.h"

#include <algorithm>
#include <charconv>

namespace strandwave {
namespace {

constexpr std::size_t kLongestLine = std::size_t{16} << 20;

} // namespace

TabTable::TabTable(std::filesystem::path const& path)
    : text_(BgzfSource(open_file_bytes(path), input_name(path), 0)), line_(text_.position()) {
    if (!read_line()) { throw error(ErrorCode::truncated_input, "the file is empty; a header line is missing"); }
    split_cells(row_, '\t', cells_);
    columns_.assign(cells_.begin(), cells_.end());
}

std::optional<std::size_t> TabTable::find(std::string_view column) const {
    auto const found = std::find(columns_.begin(), columns_.end(), column);
    if (found == columns_.end()) { return std::nullopt; }
    return static_cast<std::size_t>(found - columns_.begin());
}

std::size_t TabTable::column(std::string_view name) const {
    auto const found = find(name);
    if (!found) { throw error(ErrorCode::malformed_input, "there is no column '" + std::string(name) + "'"); }
    return *found;
}

bool TabTable::next() {
    if (!read_line()) { return false; }
    split_cells(row_, '\t', cells_);
    if (cells_.size() != columns_.size()) {
        throw error(ErrorCode::malformed_input,
                    std::to_string(cells_.size()) + " cells where the header has " + std::to_string(columns_.size()));
    }
    return true;
}

bool TabTable::read_line() {
    if (text_.at_end()) { return false; }
    line_ = text_.position();
    if (text_.next_line(row_, kLongestLine) != TextCursor::LineEnd::newline) {
        throw error(ErrorCode::truncated_input, "the last line has no end, so the file is cut short");
    }
    return true;
}

index_t TabTable::count(std::size_t column) const {
    auto const text = cell(column);
    index_t value = 0;
    auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size() || value < 0) {
        throw error(ErrorCode::malformed_input,
                    "'" + std::string(text) + "' in column '" + columns_[column] + "' is no count");
    }
    return value;
}

double TabTable::number(std::size_t column) const {
    auto const text = cell(column);
    double value = 0;
    auto const [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc() || end != text.data() + text.size()) {
        throw error(ErrorCode::malformed_input,
                    "'" + std::string(text) + "' in column '" + columns_[column] + "' is no number");
    }
    return value;
}

Error TabTable::error(ErrorCode code, std::string const& reason) const { return text_.error_at(line_, code, reason); }

} // namespace strandwave
