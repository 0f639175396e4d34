#pragma once

#include "apps/common_options.h"
#include "pipelines/record_source.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// Where the class of a record comes from.
struct LabelOptions {
    std::filesystem::path table; ///< name<TAB>class lines
    std::string from;            ///< "file", "folder" or "header"
    std::string header_key = "label";
};

/// Tells the class of each unit.
class LabelSource {
public:
    /// Reads the table, or for "header" the headers of all input files (which must be files then, not pipes).
    /// Throws invalid_argument, not_found, io, malformed_input, naming file and line or record.
    LabelSource(LabelOptions const& options, InputFlags const& input);

    /// Nothing for a record without a class.
    std::optional<std::string> label(Unit const& unit) const;

private:
    enum class Kind : std::uint8_t { table, file, folder, header };

    void read_table(std::filesystem::path const& path);
    void read_headers(LabelOptions const& options, InputFlags const& input);
    void add(std::string const& name, std::string const& label, std::string const& where);

    Kind kind_;
    std::map<std::string, std::string> labels_; ///< by record name; for headers by file and record name
};

} // namespace strandwave
