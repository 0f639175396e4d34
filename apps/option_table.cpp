#include "apps/option_table.h"

#include <CLI/CLI.hpp>
#include <sstream>

namespace strandwave {
namespace {

/// CLI11 tells the words of CLI::IsMember only inside the type's name: "TEXT:{f32,bf16}".
std::vector<std::string> choices_of(std::string const& type) {
    auto const open = type.find('{');
    auto const close = type.find('}');
    std::vector<std::string> words;
    if (open == std::string::npos || close == std::string::npos) { return words; }
    std::istringstream list(type.substr(open + 1, close - open - 1));
    for (std::string word; std::getline(list, word, ',');) {
        bool const of_a_number = word.find(":N") != std::string::npos; // "cuda:N" stands for words, and is none
        if (!of_a_number) { words.push_back(word); }
    }
    return words;
}

OptionRow row_of(CLI::Option const& option) {
    OptionRow row;
    if (!option.get_lnames().empty()) { row.long_name = option.get_lnames().front(); }
    if (!option.get_snames().empty()) { row.short_name = option.get_snames().front(); }
    bool const named = !row.long_name.empty() || !row.short_name.empty();
    if (!named) { row.positional = option.get_name(true); }
    if (option.get_type_size_max() > 0) {
        auto const type = option.get_type_name();
        row.choices = choices_of(type);
        row.value = row.choices.empty() ? type.substr(0, type.find(':')) : type.substr(type.find('{'));
    }
    row.help = option.get_description();
    if (!option.get_default_str().empty()) { row.help += " (default: " + option.get_default_str() + ")"; }
    return row;
}

} // namespace

std::vector<CommandRow> option_table(CLI::App const& program) {
    std::vector<CommandRow> commands;
    for (auto const* command : program.get_subcommands([](CLI::App const*) { return true; })) {
        CommandRow row{command->get_name(), command->get_description(), command->get_footer(), {}};
        for (auto const* option : command->get_options()) {
            row.options.push_back(row_of(*option));
        }
        commands.push_back(std::move(row));
    }
    return commands;
}

} // namespace strandwave
