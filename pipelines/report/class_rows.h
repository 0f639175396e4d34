#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace strandwave {

/// What a report needs of a row that `batch` classified.
struct ClassifiedRow {
    std::string name;
    std::string label;
    double probability = 0; ///< NaN where the model gave none
    double length = 0;      ///< in bases, or of sound in seconds
    bool seconds = false;
};

/// Whether it is named like a table of classified rows: `.classes.tsv` or `.classes.jsonl`, with `.gz` or without.
bool is_class_table(std::string_view file);

/// Hands out the rows of such a table in their order; `row` is valid during the call. Throws not_found, io,
/// truncated_input, malformed_input, naming file and line; the rows in front of the damage were handed out.
void read_class_rows(std::filesystem::path const& file, std::function<void(ClassifiedRow const& row)> const& take);

} // namespace strandwave
