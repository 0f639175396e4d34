#pragma once

#include "formats/open_input.h"
#include "formats/sequence_reader.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

namespace strandwave {

constexpr index_t kWhole = std::numeric_limits<index_t>::max();

struct TestRecord {
    std::string name, description, symbols;
    bool operator==(TestRecord const&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, TestRecord const& record) {
    return out << record.name << '|' << record.description << '|' << record.symbols;
}

/// Whole records, put together from a reader's chunks; `error` if it did not come to its end. A record that was begun
/// when the error came is left out.
struct ReadResult {
    std::vector<TestRecord> records;
    std::optional<Error> error;
    index_t skipped = 0;
};

/// Reads to the end; throws std::logic_error where the reader breaks the rules for chunks. `mates`: records that have
/// one number together.
inline ReadResult read_all(SequenceReader& reader, index_t max_symbols, index_t mates = 1) {
    auto const require = [](bool held, char const* rule) {
        if (!held) { throw std::logic_error(rule); }
    };
    ReadResult result;
    TestRecord record;
    bool in_record = false;
    SequenceChunk chunk;
    while (true) {
        auto outcome = reader.next(chunk, max_symbols);
        result.skipped = reader.skipped_records();
        if (!outcome) {
            result.error = outcome.error();
            require(!reader.next(chunk, max_symbols).has_value(), "an error stays an error");
            return result;
        }
        if (*outcome == ReadOutcome::end_of_stream) {
            require(!in_record, "the stream ends behind a last chunk");
            require(reader.next(chunk, max_symbols).value() == ReadOutcome::end_of_stream, "an end stays an end");
            return result;
        }
        require(chunk.first != in_record, "a record starts with its first chunk");
        if (chunk.first) { record = {chunk.name, chunk.description, {}}; }
        require(chunk.record == static_cast<index_t>(result.records.size()) / mates, "records are numbered in order");
        require(chunk.name == record.name && chunk.description == record.description, "each chunk names its record");
        require(chunk.offset == static_cast<index_t>(record.symbols.size()), "chunks follow on each other");
        require(static_cast<index_t>(chunk.symbols.size()) <= max_symbols, "chunks are no longer than asked");
        require(!chunk.symbols.empty() || (chunk.first && chunk.last), "only an empty record has an empty chunk");
        record.symbols += chunk.symbols;
        in_record = !chunk.last;
        if (chunk.last) { result.records.push_back(record); }
    }
}

inline ReadResult read_file(std::filesystem::path const& path, index_t max_symbols = kWhole,
                            InputOptions const& options = {}) {
    auto input = open_input(path, options);
    if (!input) { return {{}, input.error(), 0}; }
    if (!input->sequence) { throw std::logic_error("not a DNA file: " + path.string()); }
    return read_all(*input->sequence, max_symbols);
}

inline std::string file_bytes(std::filesystem::path const& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) { throw std::runtime_error("no file " + path.string()); }
    return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder of its own, removed at the end.
class TemporaryFolder {
public:
    TemporaryFolder() {
        auto text = (std::filesystem::temp_directory_path() / "strandwave_test_XXXXXX").string();
        if (mkdtemp(text.data()) == nullptr) { throw std::runtime_error("no temporary folder"); }
        path_ = text;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(TemporaryFolder const&) = delete;
    TemporaryFolder& operator=(TemporaryFolder const&) = delete;

    std::filesystem::path const& path() const { return path_; }

    std::filesystem::path write(std::string const& name, std::string const& content) const {
        auto const path = path_ / name;
        std::filesystem::remove(path); // a new file is much faster than an old one written over
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }

private:
    std::filesystem::path path_;
};

/// `content` behind a pipe, and the path to read it from.
class Pipe {
public:
    explicit Pipe(std::string content) {
        std::signal(SIGPIPE, SIG_IGN); // a reader may stop early
        int ends[2];
        if (pipe(ends) != 0) { throw std::runtime_error("no pipe"); }
        read_end_ = ends[0];
        writer_ = std::thread([end = ends[1], text = std::move(content)] {
            std::size_t done = 0;
            while (done < text.size()) {
                auto const wrote = ::write(end, text.data() + done, text.size() - done);
                if (wrote <= 0) { break; }
                done += static_cast<std::size_t>(wrote);
            }
            close(end);
        });
    }
    ~Pipe() {
        close(read_end_);
        writer_.join();
    }
    Pipe(Pipe const&) = delete;
    Pipe& operator=(Pipe const&) = delete;

    std::filesystem::path path() const { return "/dev/fd/" + std::to_string(read_end_); }

private:
    int read_end_;
    std::thread writer_;
};

inline std::filesystem::path data_folder() { return std::filesystem::path(STRANDWAVE_SOURCE_DIR) / "data" / "formats"; }

} // namespace strandwave
