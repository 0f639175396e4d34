#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

struct Fact {
    std::string name, value;
};

/// run.json as a reader sees it. What the file does not have is empty or left out.
struct RunFacts {
    std::string task;                ///< classify or embed
    std::string model;               ///< its directory
    std::string command;             ///< as it was typed
    std::string shard;               ///< "1/4"; empty: the whole run
    std::string started;             ///< date and time
    std::string tokens_per_second;   ///< "12,345"
    std::string version;             ///< of strandwave
    std::vector<std::string> labels; ///< of the model's classes, in its order
    std::vector<Fact> facts;         ///< model, machine and figures, with their units
    std::vector<Fact> settings;      ///< kMostSettings at most
};
inline constexpr std::size_t kMostSettings = 100;

/// Throws not_found, io, malformed_input (not JSON, not an object), too_large (more than 64 MiB).
RunFacts read_run_facts(std::filesystem::path const& file);

} // namespace strandwave
