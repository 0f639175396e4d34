#include "pipelines/batch/batch_journal.h"

#include "formats/checksum.h"
#include "lib/core/error.h"
#include "lib/core/partial_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 2;

/// Names of files and records may hold any bytes, and JSON is UTF-8: each byte becomes the letter of its number.
std::string json_text(std::string const& bytes) {
    std::string text;
    for (unsigned char const c : bytes) {
        if (c < 0x80) {
            text += static_cast<char>(c);
        } else {
            text += {static_cast<char>(0xc0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3f))};
        }
    }
    return text;
}

std::string text_of(Json const& json) {
    auto const& text = json.get_ref<std::string const&>();
    std::string bytes;
    for (std::size_t i = 0; i < text.size(); ++i) {
        auto const c = static_cast<unsigned char>(text[i]);
        bool const pair = (c == 0xc2 || c == 0xc3) && i + 1 < text.size();
        bytes += pair ? static_cast<char>((c << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f)) : text[i];
    }
    return bytes;
}

Json json_of(InputTally const& tally) {
    return {{"records", tally.records},         {"rows", tally.rows},           {"failed", tally.failed},
            {"too_short", tally.too_short},     {"secondary", tally.secondary}, {"silent", tally.silent},
            {"no_position", tally.no_position}, {"symbols", tally.symbols},     {"tokens", tally.positions},
            {"classes", tally.class_rows}};
}

InputTally tally_of(Json const& json) {
    InputTally tally;
    json.at("records").get_to(tally.records);
    json.at("rows").get_to(tally.rows);
    json.at("failed").get_to(tally.failed);
    json.at("too_short").get_to(tally.too_short);
    json.at("secondary").get_to(tally.secondary);
    json.at("silent").get_to(tally.silent);
    json.at("no_position").get_to(tally.no_position);
    json.at("symbols").get_to(tally.symbols);
    json.at("tokens").get_to(tally.positions);
    json.at("classes").get_to(tally.class_rows);
    return tally;
}

Json json_of(std::vector<FailedRecord> const& failures) {
    auto list = Json::array();
    for (auto const& failure : failures) {
        list.push_back({failure.ordinal, json_text(failure.name), failure.code, json_text(failure.message)});
    }
    return list;
}

std::vector<FailedRecord> failures_of(Json const& list) {
    std::vector<FailedRecord> failures;
    for (auto const& item : list) {
        failures.push_back({item.at(0).get<index_t>(), text_of(item.at(1)), text_of(item.at(2)), text_of(item.at(3))});
    }
    return failures;
}

Json json_of(OutputSpec const& spec) {
    auto formats = Json::array();
    for (auto const format : spec.formats) {
        formats.push_back(output_format_name(format));
    }
    auto labels = Json::array();
    for (auto const& label : spec.labels) {
        labels.push_back(json_text(label));
    }
    return {{"formats", formats},
            {"bgzf", spec.bgzf},
            {"probabilities", spec.probabilities},
            {"sound", spec.sound},
            {"interleaved", spec.interleaved},
            {"labels", labels},
            {"d_model", spec.d_model},
            {"keep_secondary", spec.reading.keep_secondary},
            {"reference", json_text(spec.reading.reference.string())},
            {"version", spec.version},
            {"command", json_text(spec.command)}};
}

OutputSpec outputs_of(Json const& json) {
    OutputSpec spec;
    for (auto const& format : json.at("formats")) {
        spec.formats.push_back(parse_output_format(format.get<std::string>()));
    }
    for (auto const& label : json.at("labels")) {
        spec.labels.push_back(text_of(label));
    }
    json.at("bgzf").get_to(spec.bgzf);
    json.at("probabilities").get_to(spec.probabilities);
    json.at("sound").get_to(spec.sound);
    json.at("interleaved").get_to(spec.interleaved);
    json.at("d_model").get_to(spec.d_model);
    json.at("keep_secondary").get_to(spec.reading.keep_secondary);
    spec.reading.reference = text_of(json.at("reference"));
    json.at("version").get_to(spec.version);
    spec.command = text_of(json.at("command"));
    return spec;
}

Json json_of(JournalHeader const& header) {
    auto settings = Json::object();
    for (auto const& [name, value] : header.settings) {
        settings[name] = json_text(value);
    }
    auto inputs = Json::array();
    for (auto const& input : header.inputs) {
        inputs.push_back({json_text(input.path.string()), json_text(input.mates.string()),
                          json_text(input.output.string()), json_text(input.sample), json_text(input.label)});
    }
    return {{"journal", kFormat},      {"strandwave", header.version},
            {"settings", settings},    {"outputs", json_of(header.outputs)},
            {"inputs", inputs},        {"shard", header.shard},
            {"shards", header.shards}, {"shards_records", header.shards_records}};
}

JournalHeader header_of(Json const& json) {
    if (json.at("journal").get<int>() != kFormat) {
        throw std::runtime_error("another version of strandwave wrote it");
    }
    JournalHeader header;
    header.version = text_of(json.at("strandwave"));
    for (auto const& [name, value] : json.at("settings").items()) {
        header.settings[name] = text_of(value);
    }
    header.outputs = outputs_of(json.at("outputs"));
    for (auto const& item : json.at("inputs")) {
        header.inputs.push_back(
            {text_of(item.at(0)), text_of(item.at(1)), text_of(item.at(2)), text_of(item.at(3)), text_of(item.at(4))});
    }
    json.at("shard").get_to(header.shard);
    json.at("shards").get_to(header.shards);
    json.at("shards_records").get_to(header.shards_records);
    return header;
}

void add_block(InputJournal& input, DoneBlock const& block) {
    input.tally += block.tally;
    input.failures.insert(input.failures.end(), block.failures.begin(), block.failures.end());
    input.blocks.push_back(block);
}

void cut_blocks(InputJournal& input, std::size_t count) {
    auto blocks = std::move(input.blocks);
    blocks.resize(std::min(count, blocks.size()));
    input.blocks.clear();
    input.failures.clear();
    input.tally = {};
    for (auto const& block : blocks) {
        add_block(input, block);
    }
}

} // namespace

InputTally& InputTally::operator+=(InputTally const& more) {
    records += more.records;
    rows += more.rows;
    failed += more.failed;
    too_short += more.too_short;
    secondary += more.secondary;
    silent += more.silent;
    no_position += more.no_position;
    symbols += more.symbols;
    positions += more.positions;
    class_rows.resize(std::max(class_rows.size(), more.class_rows.size()));
    for (std::size_t i = 0; i < more.class_rows.size(); ++i) {
        class_rows[i] += more.class_rows[i];
    }
    return *this;
}

void BatchJournal::replace_header(JournalHeader const& header) {
    header_ = header;
    append(json_of(header).dump());
}

std::vector<WrittenFile> written_files(std::span<std::filesystem::path const> files,
                                       std::filesystem::path const& folder) {
    std::vector<WrittenFile> written;
    written.reserve(files.size());
    for (auto const& file : files) {
        written.push_back({file.lexically_relative(folder).string(),
                           static_cast<index_t>(std::filesystem::file_size(file)), md5_of_file(file)});
    }
    return written;
}

BatchJournal::BatchJournal(std::filesystem::path const& file, JournalHeader const& header)
    : path_(file), header_(header) {
    lock(O_CREAT);
    if (::ftruncate(descriptor_.value, 0) != 0) { fail("cannot be written"); }
    append(json_of(header).dump());
}

BatchJournal::BatchJournal(std::filesystem::path const& file) : path_(file) {
    lock(0);
    auto const whole = read();
    if (::ftruncate(descriptor_.value, whole) != 0) { fail("cannot be written"); }
}

std::unique_ptr<BatchJournal const> BatchJournal::opened_to_read(std::filesystem::path const& file) {
    std::unique_ptr<BatchJournal> journal(new BatchJournal);
    journal->path_ = file;
    journal->read();
    return journal;
}

void BatchJournal::fail(std::string const& what) const {
    throw Error(ErrorCode::io, path_.string() + ": " + what + ": " + std::strerror(errno));
}

/// Two processes in one folder would write over each other. File systems without locks are trusted.
void BatchJournal::lock(int flags) {
    descriptor_.value = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | flags, 0666);
    if (descriptor_.value < 0) { fail("cannot be written"); }
    if (::flock(descriptor_.value, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        throw Error(ErrorCode::io, path_.parent_path().string() + ": another process works on this folder");
    }
}

BatchJournal::Descriptor::~Descriptor() {
    if (value >= 0) { ::close(value); }
}

bool BatchJournal::is_at(std::filesystem::path const& file) {
    std::ifstream stream(file, std::ios::binary);
    std::string line;
    return std::getline(stream, line) && std::getline(stream, line) && !stream.eof();
}

/// Bytes of the lines that count.
index_t BatchJournal::read() {
    std::ifstream stream(path_, std::ios::binary);
    if (!stream) {
        throw Error(ErrorCode::not_found, path_.string() + ": cannot be read; is this a folder that `batch -O` wrote?");
    }
    index_t whole = 0;
    index_t number = 0;
    for (std::string line; std::getline(stream, line);) {
        if (stream.eof()) { break; } // no newline: the process ended while it wrote the line
        ++number;
        try {
            take(line);
        } catch (std::exception const& error) {
            if (number > 1) {
                damaged_line_ = number;
                break;
            }
            throw Error(ErrorCode::malformed_input,
                        path_.string() + ": line " + std::to_string(number) + " cannot be used: " + error.what());
        }
        whole += static_cast<index_t>(line.size()) + 1;
    }
    if (number == 0) { throw Error(ErrorCode::malformed_input, path_.string() + ": is empty"); }
    return whole;
}

void BatchJournal::take(std::string const& line) {
    auto const json = Json::parse(line);
    if (json.contains("journal")) {
        header_ = header_of(json);
        return;
    }
    auto& input = inputs_[text_of(json.at("input"))];
    if (json.contains("begin")) {
        input = {};
        input.identity = text_of(json.at("begin"));
        for (auto const& part : json.at("parts")) {
            input.parts.push_back(text_of(part));
        }
        return;
    }
    if (json.contains("keep_blocks")) {
        cut_blocks(input, json.at("keep_blocks").get<std::size_t>());
        return;
    }
    auto sizes = json.at("sizes").get<std::vector<index_t>>();
    auto md5 = json.at("md5").get<std::vector<std::string>>();
    if (json.contains("block")) {
        add_block(input, {json.at("block").get<index_t>(), std::move(sizes), std::move(md5), tally_of(json.at("tally")),
                          failures_of(json.at("failures"))});
        return;
    }
    auto const failures = failures_of(json.at("failures"));
    input.failures.insert(input.failures.end(), failures.begin(), failures.end());
    input.tally += tally_of(json.at("tally"));
    input.ended = true;
    input.broken = json.at("broken").get<bool>();
    input.has_last_block = json.at("has_last_block").get<bool>();
    input.sizes = std::move(sizes);
    input.md5 = std::move(md5);
    for (auto const& item : json.at("files")) {
        input.files.push_back({text_of(item.at(0)), item.at(1).get<index_t>(), text_of(item.at(2))});
    }
}

void BatchJournal::append(std::string const& line) {
    std::string const text = line + '\n';
    if (held_back_) {
        held_lines_ += text;
        return;
    }
    for (std::size_t done = 0; done < text.size();) {
        ssize_t const now = ::write(descriptor_.value, text.data() + done, text.size() - done);
        if (now < 0 && errno == EINTR) { continue; }
        if (now < 0) { fail("cannot be written"); }
        done += static_cast<std::size_t>(now);
    }
}

void BatchJournal::release() {
    write_file_whole(path_, json_of(header_).dump() + '\n' + held_lines_);
    held_lines_.clear();
}

InputJournal const* BatchJournal::find(std::string const& output) const {
    auto const found = inputs_.find(output);
    return found == inputs_.end() ? nullptr : &found->second;
}

void BatchJournal::begin_input(std::string const& output, std::string const& identity,
                               std::vector<std::string> const& parts) {
    auto& input = inputs_[output] = {};
    input.identity = identity;
    input.parts = parts;
    auto names = Json::array();
    for (auto const& part : parts) {
        names.push_back(json_text(part));
    }
    append(Json{{"input", json_text(output)}, {"begin", identity}, {"parts", names}}.dump());
}

void BatchJournal::end_block(std::string const& output, DoneBlock const& block) {
    add_block(inputs_[output], block);
    append(Json{{"input", json_text(output)},
                {"block", block.block},
                {"sizes", block.sizes},
                {"md5", block.md5},
                {"tally", json_of(block.tally)},
                {"failures", json_of(block.failures)}}
               .dump());
}

void BatchJournal::keep_blocks(std::string const& output, std::size_t count) {
    cut_blocks(inputs_[output], count);
    append(Json{{"input", json_text(output)}, {"keep_blocks", count}}.dump());
}

void BatchJournal::end_input(std::string const& output, InputJournal const& last) {
    auto& input = inputs_[output];
    input.tally += last.tally;
    input.failures.insert(input.failures.end(), last.failures.begin(), last.failures.end());
    input.ended = true;
    input.broken = last.broken;
    input.has_last_block = last.has_last_block;
    input.sizes = last.sizes;
    input.md5 = last.md5;
    input.files = last.files;
    auto files = Json::array();
    for (auto const& file : last.files) {
        files.push_back({json_text(file.name), file.bytes, file.md5});
    }
    append(Json{{"input", json_text(output)},
                {"broken", last.broken},
                {"has_last_block", last.has_last_block},
                {"sizes", last.sizes},
                {"md5", last.md5},
                {"files", files},
                {"tally", json_of(last.tally)},
                {"failures", json_of(last.failures)}}
               .dump());
}

} // namespace strandwave
