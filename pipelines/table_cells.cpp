#include "pipelines/table_cells.h"

#include <algorithm>
#include <cstdint>

namespace strandwave {

void append_cell(std::string_view cell, std::string& text) {
    auto const begin = static_cast<std::ptrdiff_t>(text.size());
    text += cell;
    std::replace_if(
        text.begin() + begin, text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '_');
}

void split_cells(std::string_view line, char separator, std::vector<std::string_view>& cells) {
    cells.clear();
    for (auto end = line.find(separator); end != std::string_view::npos; end = line.find(separator)) {
        cells.push_back(line.substr(0, end));
        line.remove_prefix(end + 1);
    }
    cells.push_back(line);
}

} // namespace strandwave
