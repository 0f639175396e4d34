#include "pipelines/record_labels.h"

#include "formats/byte_source.h"
#include "formats/open_input.h"
#include "formats/utf8.h"
#include "lib/core/error.h"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>

namespace strandwave {
namespace {

constexpr index_t kSymbolsAtOnce = 1 << 20;

std::string header_name(std::string const& file, std::string const& record) { return file + '\t' + record; }

/// The value of `key=value` among the words of a header line.
std::optional<std::string> value_of(std::string const& description, std::string const& key) {
    std::size_t begin = 0;
    while (begin < description.size()) {
        std::size_t const end = std::min(description.find_first_of(" \t", begin), description.size());
        if (description.compare(begin, key.size() + 1, key + "=") == 0) {
            return description.substr(begin + key.size() + 1, end - begin - key.size() - 1);
        }
        begin = end + 1;
    }
    return std::nullopt;
}

} // namespace

LabelSource::LabelSource(LabelOptions const& options, std::vector<std::filesystem::path> const& files,
                         InputOptions const& input) {
    if (options.table.empty() == options.from.empty()) {
        throw Error(ErrorCode::invalid_argument, "give either --labels FILE or --labels-from");
    }
    if (!options.table.empty()) {
        kind_ = Kind::table;
        read_table(options.table);
    } else if (options.from == "header") {
        kind_ = Kind::header;
        read_headers(options.header_key, files, input);
    } else {
        kind_ = options.from == "file" ? Kind::file : Kind::folder;
    }
}

std::optional<std::string> LabelSource::label(Unit const& unit) const {
    std::filesystem::path const file(unit.file);
    auto const find = [this](std::string const& name) -> std::optional<std::string> {
        auto const found = labels_.find(name);
        return found == labels_.end() ? std::nullopt : std::optional(found->second);
    };
    switch (kind_) {
    case Kind::table: {
        auto label = find(unit.name);
        if (!label) { label = find(std::filesystem::path(unit.name).filename().string()); }
        bool const one_channel = unit.sample_rate_hz > 0 && unit.name != unit.file;
        if (label || !one_channel) { return label; }
        label = find(unit.file);
        return label ? label : find(file.filename().string());
    }
    case Kind::header: return find(header_name(unit.file, unit.name));
    case Kind::file: {
        std::string const name = file.filename().string();
        return name.substr(0, name.find_first_of("_."));
    }
    case Kind::folder: return std::filesystem::absolute(file).lexically_normal().parent_path().filename().string();
    }
    return std::nullopt;
}

void LabelSource::add(std::string const& name, std::string const& label, std::string const& where) {
    auto const [entry, fresh] = labels_.emplace(name, label);
    if (!fresh && entry->second != label) {
        throw Error(ErrorCode::malformed_input,
                    where + ": the class is '" + label + "', but the same name had '" + entry->second + "' before");
    }
}

void LabelSource::read_table(std::filesystem::path const& path) {
    std::ifstream in(path);
    if (!in) { throw Error(ErrorCode::not_found, path.string() + ": cannot be opened: " + std::strerror(errno)); }
    index_t number = 0;
    for (std::string line; std::getline(in, line);) {
        std::string const where = path.string() + ", line " + std::to_string(++number);
        if (number == 1) { line = std::string(behind_byte_order_mark(line)); }
        if (!line.empty() && line.back() == '\r') { line.pop_back(); }
        if (line.empty()) { continue; }
        std::size_t const tab = line.find('\t');
        std::string const label = tab == std::string::npos ? "" : line.substr(tab + 1);
        if (tab == 0 || label.empty() || label.find('\t') != std::string::npos) {
            throw Error(ErrorCode::malformed_input, where + ": not of the form name<TAB>class");
        }
        add(line.substr(0, tab), label, where);
    }
    if (in.bad()) {
        throw Error(ErrorCode::io, path.string() + ": cannot be read to its end: " + std::strerror(errno));
    }
    if (labels_.empty()) {
        throw Error(ErrorCode::malformed_input, path.string() + ": holds no line of name<TAB>class");
    }
}

void LabelSource::read_headers(std::string const& key, std::vector<std::filesystem::path> const& files,
                               InputOptions const& input) {
    bool any_record = false;
    for (auto const& file : files) {
        if (is_read_only_once(file)) {
            throw Error(ErrorCode::invalid_argument,
                        input_name(file) + ": can be read only once, and --labels-from header reads its input twice; "
                                           "store it in a file first");
        }
        Input opened = open_input(file, input).value();
        if (!opened.sequence) {
            throw Error(ErrorCode::invalid_argument, file.string() + ": recordings have no header with a class");
        }
        SequenceChunk chunk;
        while (opened.sequence->next(chunk, kSymbolsAtOnce).value() == ReadOutcome::chunk) {
            if (!chunk.first) { continue; }
            any_record = true;
            if (auto const label = value_of(chunk.description, key)) {
                add(header_name(file.string(), chunk.name), *label, file.string() + ": record " + chunk.name);
            }
        }
    }
    if (any_record && labels_.empty()) {
        throw Error(ErrorCode::not_found, files.front().string() + ": no header here or in other files has a word " +
                                              key + "=...; --header-key names another one");
    }
}

std::optional<double> label_value(std::string_view label) {
    double value = 0;
    auto const* const end = label.data() + label.size();
    auto const [stop, error] = std::from_chars(label.data(), end, value);
    if (error != std::errc() || stop != end || !std::isfinite(value)) { return std::nullopt; }
    return value;
}

} // namespace strandwave
