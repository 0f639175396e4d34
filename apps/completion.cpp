#include "apps/commands.h"
#include "apps/option_table.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

namespace strandwave {
namespace {

std::string joined(std::vector<std::string> const& words) {
    std::string line;
    for (auto const& word : words) {
        line += (line.empty() ? "" : " ") + word;
    }
    return line;
}

std::vector<std::string> flags_of(OptionRow const& option) {
    std::vector<std::string> flags;
    if (!option.long_name.empty()) { flags.push_back("--" + option.long_name); }
    if (!option.short_name.empty()) { flags.push_back("-" + option.short_name); }
    return flags;
}

std::string command_names(std::vector<CommandRow> const& commands) {
    std::vector<std::string> names;
    names.reserve(commands.size());
    for (auto const& command : commands) {
        names.push_back(command.name);
    }
    return joined(names);
}

void write_bash(std::ostream& out, std::vector<CommandRow> const& commands) {
    out << "_strandwave() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} "
           "words=\n"
           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
           "        COMPREPLY=($(compgen -W \""
        << command_names(commands)
        << " --help --version\" -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case \"$command $before\" in\n";
    for (auto const& command : commands) {
        for (auto const& option : command.options) {
            if (option.choices.empty()) { continue; }
            std::string pattern;
            for (auto const& flag : flags_of(option)) {
                pattern += (pattern.empty() ? "\"" : "|\"") + command.name + " " + flag + "\"";
            }
            if (pattern.empty()) { pattern = "\"" + command.name + " " + command.name + "\""; }
            out << "    " << pattern << ") COMPREPLY=($(compgen -W \"" << joined(option.choices)
                << "\" -- \"$word\")); return ;;\n";
        }
    }
    out << "    esac\n"
           "    case \"$command\" in\n";
    for (auto const& command : commands) {
        std::vector<std::string> words;
        for (auto const& option : command.options) {
            for (auto& flag : flags_of(option)) {
                words.push_back(std::move(flag));
            }
        }
        out << "    " << command.name << ") words=\"" << joined(words) << "\" ;;\n";
    }
    out << "    esac\n"
           "    case \"$word\" in\n"
           "    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
           "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
           "    esac\n"
           "}\n"
           "complete -o filenames -F _strandwave strandwave\n";
}

std::string fish_quoted(std::string const& text) {
    std::string quoted = "'";
    for (char const c : text) {
        if (c == '\'' || c == '\\') { quoted += '\\'; }
        quoted += c;
    }
    return quoted + "'";
}

void write_fish(std::ostream& out, std::vector<CommandRow> const& commands) {
    for (auto const& command : commands) {
        out << "complete -c strandwave -n __fish_use_subcommand -f -a " << command.name << " -d "
            << fish_quoted(command.help) << '\n';
        for (auto const& option : command.options) {
            out << "complete -c strandwave -n '__fish_seen_subcommand_from " << command.name << "'";
            if (!option.long_name.empty()) { out << " -l " << option.long_name; }
            if (!option.short_name.empty()) { out << " -s " << option.short_name; }
            if (!option.choices.empty()) {
                out << " -x -a " << fish_quoted(joined(option.choices));
            } else if (!option.value.empty()) {
                out << " -r";
            }
            out << " -d " << fish_quoted(option.help) << '\n';
        }
    }
}

void write_completion(std::ostream& out, CLI::App const& program, std::string const& shell) {
    auto const commands = option_table(program);
    if (shell == "fish") {
        write_fish(out, commands);
        return;
    }
    if (shell == "zsh") { out << "autoload -U +X compinit bashcompinit\ncompinit\nbashcompinit\n"; }
    write_bash(out, commands);
}

} // namespace

void add_completion_command(CLI::App& program, CommandResult&) {
    auto const shell = std::make_shared<std::string>();
    auto* const command = program.add_subcommand("completion", "Write the completion script of a shell to stdout");
    command->add_option("SHELL", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember(std::vector<std::string>{"bash", "zsh", "fish"}));
    command->footer("Example:\n  source <(strandwave completion bash)");
    command->callback([shell, &program] { write_completion(std::cout, program, *shell); });
}

} // namespace strandwave
