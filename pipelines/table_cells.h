#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// Appends `cell` with its control characters as `_`.
void append_cell(std::string_view cell, std::string& text);

/// The cells of a line, which may be empty: one more than there are separators. They point into `line`; the storage of
/// `cells` is used again.
void split_cells(std::string_view line, char separator, std::vector<std::string_view>& cells);

} // namespace strandwave
