#include "apps/label_flags.h"

#include <CLI/CLI.hpp>

namespace strandwave {

void add_label_flags(CLI::App& command, LabelOptions& options) {
    command
        .add_option("--labels", options.table,
                    "Lines of record name, tab, class (or number, of a regression); a recording's name is its file")
        ->type_name("FILE.tsv");
    command
        .add_option("--labels-from", options.from,
                    "Take classes from: file (its name up to the first _ or .), folder (its name), header (a "
                    "key=value word of the record's header)")
        ->check(CLI::IsMember({"file", "folder", "header"}));
    command.add_option("--header-key", options.header_key, "The key of --labels-from header")->capture_default_str();
}

} // namespace strandwave
