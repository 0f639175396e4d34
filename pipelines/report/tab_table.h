#pragma once

#include "formats/text_cursor.h"

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// A table of a batch: a header line, then a row a line, cells between tabs, nothing quoted; plain, gzip or BGZF.
/// Rows come one at a time, so that its length does not matter. Everything here throws what TextCursor throws.
class TabTable {
public:
    /// Reads the header. Throws not_found, io, truncated_input.
    explicit TabTable(std::filesystem::path const& path);

    std::vector<std::string> const& columns() const noexcept { return columns_; }
    std::optional<std::size_t> find(std::string_view column) const;
    std::size_t column(std::string_view name) const; ///< throws malformed_input where there is none

    /// The next row; false at the end. Throws malformed_input (another number of cells than columns) and
    /// truncated_input (the last line has no newline: it was cut).
    bool next();

    std::string_view cell(std::size_t column) const { return cells_[column]; } ///< until the next row
    index_t count(std::size_t column) const;                                   ///< not negative, or malformed_input
    double number(std::size_t column) const; ///< also nan and inf; malformed_input for what is no number

    Error error(ErrorCode code, std::string const& reason) const; ///< names the file and the line of the row

private:
    bool read_line();

    TextCursor text_;
    TextCursor::Position line_;
    std::string row_;
    std::vector<std::string> columns_;
    std::vector<std::string_view> cells_;
};

} // namespace strandwave
