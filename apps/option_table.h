#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace strandwave {

/// One option or argument of a command, as the parser has it.
struct OptionRow {
    std::string long_name;  ///< "dtype", empty if there is none; a positional's is empty too
    std::string short_name; ///< "m", may be empty
    std::string positional; ///< "INPUT", empty for an option
    std::string value;      ///< "DIR", "{f32,bf16}"; empty for a flag
    std::string help;
    std::vector<std::string> choices; ///< the words that it takes, if it takes only some
};

struct CommandRow {
    std::string name, help, footer;
    std::vector<OptionRow> options;
};

/// The commands of the program; what the shell completion and the man page are written from.
std::vector<CommandRow> option_table(CLI::App const& program);

} // namespace strandwave
