#include "apps/commands.h"
#include "apps/option_table.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace strandwave {
namespace {

/// Text that roff prints as it stands: hyphens stay hyphens, no line begins a request.
std::string roff(std::string const& text) {
    std::string escaped;
    bool line_begins = true;
    for (char const c : text) {
        if (line_begins && (c == '.' || c == '\'')) { escaped += "\\&"; }
        if (c == '\\') {
            escaped += "\\e";
        } else if (c == '-') {
            escaped += "\\-";
        } else {
            escaped += c;
        }
        line_begins = c == '\n';
    }
    return escaped;
}

void write_option(std::ostream& out, OptionRow const& option) {
    std::string names = option.positional;
    if (!option.short_name.empty()) { names += "-" + option.short_name; }
    if (!option.long_name.empty()) { names += (names.empty() ? "--" : ", --") + option.long_name; }
    out << ".TP\n\\fB" << roff(names) << "\\fR";
    if (!option.value.empty()) { out << " \\fI" << roff(option.value) << "\\fR"; }
    out << '\n' << roff(option.help) << '\n';
}

void write_man_page(std::ostream& out, CLI::App const& program) {
    out << ".TH STRANDWAVE 1 \"\" \"" << roff("strandwave " STRANDWAVE_VERSION) << "\" \"User Commands\"\n"
        << ".SH NAME\nstrandwave \\- " << roff(program.get_description()) << "\n.SH SYNOPSIS\n"
        << ".B strandwave\n\\fICOMMAND\\fR [\\fIOPTION\\fR]...\n.SH COMMANDS\n";
    for (auto const& command : option_table(program)) {
        out << ".SS strandwave " << roff(command.name) << '\n' << roff(command.help) << ".\n";
        for (auto const& option : command.options) {
            write_option(out, option);
        }
        if (!command.footer.empty()) { out << ".PP\n.nf\n" << roff(command.footer) << "\n.fi\n"; }
    }
    out << ".SH EXIT STATUS\n0: all done. 1: some records failed, each named on stderr. 2: usage or set\\-up. "
           "130: interrupted.\n";
}

} // namespace

void add_man_command(CLI::App& program, CommandResult&) {
    auto* const command = program.add_subcommand("man", "Write the manual page to stdout");
    command->footer("Example:\n  strandwave man | man -l -");
    command->callback([&program] { write_man_page(std::cout, program); });
}

} // namespace strandwave
