#include "pipelines/report/run_facts.h"

#include "lib/core/error.h"
#include "lib/core/view.h"
#include "pipelines/report/page_text.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uintmax_t kLargestFile = std::uintmax_t{64} << 20;

Json read_json(std::filesystem::path const& file) {
    std::error_code failed;
    auto const bytes = std::filesystem::file_size(file, failed);
    if (failed) {
        bool const missing = failed == std::errc::no_such_file_or_directory;
        throw Error(missing ? ErrorCode::not_found : ErrorCode::io, file.string() + ": " + failed.message());
    }
    if (bytes > kLargestFile) { throw Error(ErrorCode::too_large, file.string() + ": more than 64 MiB of JSON"); }
    std::ifstream stream(file, std::ios::binary);
    if (!stream) { throw Error(ErrorCode::io, file.string() + ": cannot be opened"); }
    try {
        auto json = Json::parse(stream);
        if (json.is_object()) { return json; }
    } catch (Json::exception const& failure) {
        throw Error(ErrorCode::malformed_input, file.string() + ": " + failure.what());
    }
    throw Error(ErrorCode::malformed_input, file.string() + ": not a JSON object");
}

/// The value there, or null.
Json at(Json const& json, char const* pointer) {
    Json::json_pointer const place(pointer);
    return json.contains(place) ? json.at(place) : Json();
}

/// A value as a reader writes it: text without quotes, anything else as JSON has it.
std::string plain(Json const& value) {
    if (value.is_null()) { return {}; }
    return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string count(Json const& value) {
    return value.is_number() ? grouped(static_cast<index_t>(std::llround(value.get<double>()))) : plain(value);
}

std::string share(Json const& value) { return value.is_number() ? percent(value.get<double>()) : plain(value); }

std::string duration(Json const& value) {
    return value.is_number() ? spoken_seconds(value.get<double>()) : plain(value);
}

std::string bytes(Json const& value) { return value.is_number() ? spoken_bytes(value.get<double>()) : plain(value); }

/// What the value holds; of text that is an object of its own, as the preprocessor's is, that object.
Json unpacked(Json const& value) {
    if (!value.is_string() || value.get_ref<std::string const&>().rfind('{', 0) != 0) { return value; }
    auto inner = Json::parse(value.get_ref<std::string const&>(), nullptr, false);
    return inner.is_object() ? inner : value;
}

void flatten(Json const& given, std::string const& name, std::vector<Fact>& facts) {
    if (facts.size() >= kMostSettings) { return; }
    auto const value = unpacked(given);
    if (!value.is_object()) {
        facts.push_back({name, plain(value)});
        return;
    }
    for (auto const& [key, inner] : value.items()) {
        flatten(inner, name.empty() ? key : name + "." + key, facts);
    }
}

/// "2025-11-22T10:00:00Z" without the letters that only machines need; any other text as it is.
std::string moment(Json const& value) {
    auto text = plain(value);
    if (text.size() < 20 || text[10] != 'T') { return text; }
    text[10] = ' ';
    if (text.back() == 'Z') { text.replace(text.size() - 1, 1, " UTC"); }
    return text;
}

std::string command_line(Json const& command) {
    if (!command.is_array()) { return plain(command); }
    std::string line;
    for (auto const& word : command) {
        line += (line.empty() ? "" : " ") + plain(word);
    }
    return line;
}

} // namespace

RunFacts read_run_facts(std::filesystem::path const& file) {
    auto const json = read_json(file);
    RunFacts run;
    run.task = plain(at(json, "/task"));
    run.model = plain(at(json, "/model/directory"));
    run.command = command_line(at(json, "/command"));
    run.shard = plain(at(json, "/shard"));
    if (run.shard == "1/1") { run.shard.clear(); }
    run.started = moment(at(json, "/started"));
    run.tokens_per_second = count(at(json, "/figures/tokens_per_second"));
    run.version = plain(at(json, "/strandwave"));
    for (auto const& label : at(json, "/model/labels")) {
        run.labels.push_back(plain(label));
    }
    auto const add = [&run](char const* name, std::string value) {
        if (!value.empty()) { run.facts.push_back({name, std::move(value)}); }
    };
    add("Task", run.task);
    add("Model", run.model);
    add("Architecture", plain(at(json, "/model/architecture")));
    add("Parameters", count(at(json, "/model/parameters")));
    add("Fingerprint", plain(at(json, "/model/fingerprint")));
    add("Device", plain(at(json, "/device")));
    add("Number type", plain(at(json, "/dtype")));
    add("Threads", count(at(json, "/threads")));
    add("Positions a feed", count(at(json, "/chunk")));
    add("Shard", run.shard);
    add("Started", run.started);
    add("Finished", moment(at(json, "/finished")));
    add("Duration", duration(at(json, "/figures/seconds")));
    add("Tokens a second", run.tokens_per_second);
    add("Model waited for data", share(at(json, "/figures/wait_share")));
    add("Peak memory", bytes(at(json, "/figures/peak_memory_bytes")));
    add("strandwave", run.version);
    flatten(at(json, "/settings"), "", run.settings);
    return run;
}

} // namespace strandwave
