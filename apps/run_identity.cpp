#include "apps/run_identity.h"

#include "lib/core/error.h"
#include "pipelines/differences.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <sstream>

namespace strandwave {
namespace {

/// Calls `take` with the key and the value, with its `=`, of each line.
template <class Take>
void for_each_line(std::string const& options, Take const& take) {
    std::istringstream lines(options);
    for (std::string line; std::getline(lines, line);) {
        auto const equals = std::min(line.find('='), line.size());
        take(line.substr(0, equals), line.substr(equals));
    }
}

template <class Wanted>
std::string select_lines(std::string const& options, Wanted const& wanted) {
    std::string kept;
    for_each_line(options, [&](std::string const& key, std::string const& value) {
        if (wanted(key, value)) { kept += key + value + "\n"; }
    });
    return kept;
}

using Values = std::map<std::string, std::string>;

Values values_of(std::string const& options) {
    Values values;
    for_each_line(options, [&](std::string const& key, std::string const& value) {
        if (!value.empty()) { values[key] = value.substr(1); }
    });
    return values;
}

void add_name(std::string& list, std::string const& name) { list += (list.empty() ? "" : ", ") + name; }

/// Options of one version of the program that the other one does not have. That a run has none of an option which is
/// not given now either can mean nothing else.
std::string options_of_one_version(CLI::App const& command, Values const& now, Values const& then) {
    std::string names;
    for (auto const& [name, value] : now) {
        if (!then.contains(name) && command.get_option("--" + name)->count() == 0) { add_name(names, "--" + name); }
    }
    for (auto const& [name, value] : then) {
        auto const* const option = command.get_option_no_throw(name == "INPUT" ? name : "--" + name);
        if (option == nullptr) { add_name(names, "--" + name); }
    }
    return names;
}

} // namespace

std::string resolved_options(CLI::App const& command) {
    return select_lines("[train]\n" + command.config_to_str(true, false), [](auto const& key, auto const& value) {
        return value != "=\"\"" && key != "resume" && key != "force";
    });
}

std::string run_identity(std::string const& options) {
    return select_lines(options, [](auto const& key, auto const&) {
        return key != "quiet" && key != "output" && key != "threads" && key != "device" && key != "report-every";
    });
}

void check_same_run(CLI::App const& command, std::string const& now, std::string const& then,
                    std::filesystem::path const& folder) {
    if (now == then) { return; }
    auto const values = values_of(now);
    auto const before = values_of(then);
    auto const versions = options_of_one_version(command, values, before);
    if (!versions.empty()) {
        throw Error(ErrorCode::invalid_argument, "the run in " + folder.string() +
                                                     " is of another version of strandwave, which differs in " +
                                                     versions + "; only that version goes on with it. --model " +
                                                     folder.string() + " begins a new run with what it has learned");
    }
    throw Error(ErrorCode::invalid_argument,
                "the run in " + folder.string() + " had other options: " + differences(values, before) + "; " +
                    (folder / "training" / "train.toml").string() + " has its own (--config)");
}

} // namespace strandwave
