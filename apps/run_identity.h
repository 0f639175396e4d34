#pragma once

#include <filesystem>
#include <string>

namespace CLI {
class App;
}

namespace strandwave {

/// All options of `train` as --config takes them. Those that were not given and have no default are left out.
std::string resolved_options(CLI::App const& command);

/// What makes a run the one that it is: what may change when it goes on is left out.
std::string run_identity(std::string const& options);

/// Throws invalid_argument if a run of the identity `then` cannot go on as `now`, naming the options that differ.
void check_same_run(CLI::App const& command, std::string const& now, std::string const& then,
                    std::filesystem::path const& folder);

} // namespace strandwave
