#pragma once

#include "formats/block_file.h"
#include "tests/support/run_program.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>
#include <map>
#include <sstream>

namespace strandwave {

/// Runs `batch` and `merge` in a folder of its own.
class BatchProgramTest : public testing::Test {
protected:
    using Strings = std::vector<std::string>;
    using Path = std::filesystem::path;

    explicit BatchProgramTest(Path const& parent = std::filesystem::temp_directory_path()) : folder_(parent) {}

    static Strings joined(Strings first, Strings const& more) {
        first.insert(first.end(), more.begin(), more.end());
        return first;
    }
    Strings batch_arguments(std::string const& task, Strings const& extra) const {
        return on_cpu(joined({"batch", "-q", "--model", model_.string(), "--task", task}, extra));
    }
    Strings classify_arguments(Strings const& extra) const { return batch_arguments("classify", extra); }
    ProgramRun batch(Strings const& extra) const { return run_program(path(), classify_arguments(extra)); }
    ProgramRun embed(Strings const& extra) const { return run_program(path(), batch_arguments("embed", extra)); }
    ProgramRun merge(Strings const& shards) const { return run_program(path(), joined({"merge", "-q", "-O"}, shards)); }

    Path const& path() const { return folder_.path(); }

    /// A file below the folder of the test.
    Path file(Path const& name, std::string const& content) const {
        std::filesystem::create_directories((path() / name).parent_path());
        return write_text(path() / name, content);
    }
    Path compressed_file(Path const& name, std::string const& content) const {
        std::filesystem::create_directories((path() / name).parent_path());
        BlockFile gz(path() / name, BlockFile::Compression::bgzf);
        gz.write(content);
        gz.end_block();
        gz.commit();
        return path() / name;
    }
    static void cut(Path const& file, std::uintmax_t bytes) {
        std::filesystem::resize_file(file, std::filesystem::file_size(file) - bytes);
    }
    std::string text(Path const& name) const { return read_text(path() / name); }

    /// Names and bytes of what may not depend on how a batch was run.
    std::map<std::string, std::string> contents(Path const& folder) const {
        std::map<std::string, std::string> files;
        for (auto const& entry : std::filesystem::recursive_directory_iterator(path() / folder)) {
            auto const name = entry.path().lexically_relative(path() / folder).string();
            if (entry.is_regular_file() && name != "run.json" && name != "journal.jsonl") {
                files[name] = read_text(entry.path());
            }
        }
        return files;
    }
    /// The first few names of files that are not in both folders with the same bytes.
    std::string differences(Path const& one, Path const& other) const {
        auto const first = contents(one);
        auto const second = contents(other);
        Strings names;
        for (auto const& [name, bytes] : first) {
            auto const found = second.find(name);
            if (found == second.end() || found->second != bytes) { names.push_back(name); }
        }
        for (auto const& [name, bytes] : second) {
            if (first.count(name) == 0) { names.push_back(name); }
        }
        std::string text;
        for (std::size_t i = 0; i < names.size() && i < 5; ++i) {
            text += names[i] + "\n";
        }
        return names.size() > 5 ? text + "and others, in all " + std::to_string(names.size()) : text;
    }
    bool has(Path const& name) const { return std::filesystem::exists(path() / name); }

    /// Cells of each line, without the first line.
    std::vector<Strings> rows(Path const& name) const {
        std::vector<Strings> table;
        std::istringstream lines(text(name));
        std::string line;
        std::getline(lines, line);
        while (std::getline(lines, line)) {
            table.emplace_back();
            std::istringstream cells(line);
            for (std::string cell; std::getline(cells, cell, '\t');) {
                table.back().push_back(cell);
            }
        }
        return table;
    }

    static std::string fastq(std::string const& name, std::string const& letters) {
        return "@" + name + "\n" + letters + "\n+\n" + std::string(letters.size(), 'I') + "\n";
    }
    /// Three blocks.
    static std::string many_records() {
        auto const letters = bases(100'000, 9);
        std::string records;
        for (std::size_t i = 0; i < 20'000; ++i) {
            records += fasta("r" + std::to_string(i), letters.substr(5 * i, 5));
        }
        return records;
    }
    static std::string alignments(int count) {
        std::string sam = "@HD\tVN:1.6\n@SQ\tSN:c\tLN:1000\n";
        for (int i = 0; i < count; ++i) {
            sam += "r" + std::to_string(i) + (i % 4 == 3 ? "\t256" : "\t16") + "\tc\t1\t0\t20M\t*\t0\t0\t" +
                   bases(20, static_cast<std::uint32_t>(i + 1)) + "\t" + std::string(20, 'I') + "\tXX:i:3\n";
        }
        return sam;
    }

    TempDir folder_;
    Path model_ = make_dna_model(folder_.path());
};

} // namespace strandwave
