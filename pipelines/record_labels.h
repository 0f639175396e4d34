#pragma once

#include "pipelines/record_source.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// Where the class of a record comes from.
struct LabelOptions {
    std::filesystem::path table; ///< name<TAB>class lines
    std::string from;            ///< "file", "folder" or "header"
    std::string header_key = "label";
};

/// Tells the label of each unit: its class, or the text of a number.
class LabelSource {
public:
    /// Reads the table, or for "header" the headers of all `files` (which must be files then, not pipes).
    /// Throws invalid_argument, not_found (the table, or a key that no header has), io, malformed_input (a table
    /// without labels too), naming file and line or record.
    LabelSource(LabelOptions const& options, std::vector<std::filesystem::path> const& files,
                InputOptions const& input);

    /// Nothing for a record without a class.
    std::optional<std::string> label(Unit const& unit) const;

private:
    enum class Kind : std::uint8_t { table, file, folder, header };

    void read_table(std::filesystem::path const& path);
    void read_headers(std::string const& key, std::vector<std::filesystem::path> const& files,
                      InputOptions const& input);
    void add(std::string const& name, std::string const& label, std::string const& where);

    Kind kind_;
    std::map<std::string, std::string> labels_; ///< by record name; for headers by file and record name
};

/// The number that a label of regression is: all of its text, finite; nothing else.
std::optional<double> label_value(std::string_view label);

} // namespace strandwave
