#pragma once

#include "formats/npy.h"
#include "tests/support/run_program.h"
#include "tests/support/temp_dir.h"

#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// A folder as `batch` writes it, made by hand.
class BatchFolder {
public:
    using Cells = std::vector<std::string>;

    explicit BatchFolder(std::vector<std::string> const& classes = {}) {
        Cells header{"input", "sample", "label", "status", "records", "rows", "failed", "too_short", "secondary"};
        header.insert(header.end(), {"no_position", "symbols", "tokens"});
        for (auto const& name : classes) {
            header.push_back("n_" + name);
        }
        header.insert(header.end(), {"outputs", "error"});
        summary_ = line(header);
    }

    std::filesystem::path path() const { return folder_.path() / "out"; }
    std::filesystem::path outside() const { return folder_.path(); }

    /// An input: input, sample, label, status; its rows and failures; rows a class; outputs.
    void input(Cells cells, int rows, int failed, std::vector<int> const& class_rows, std::string const& outputs,
               std::string const& error = "") {
        for (int const count : {rows + failed, rows, failed, 3, 0, 1, 1000, 1000}) {
            cells.push_back(std::to_string(count));
        }
        for (int const count : class_rows) {
            cells.push_back(std::to_string(count));
        }
        cells.insert(cells.end(), {outputs, error});
        summary_ += line(cells);
    }

    void file(std::string const& name, std::string const& text) {
        std::filesystem::create_directories((path() / name).parent_path());
        write_text(path() / name, text);
    }

    /// Writes summary.tsv, run.json and failures.tsv.
    void finish(std::string const& run = R"({"strandwave": "0.1.0", "task": "classify"})",
                std::string const& failures = "") {
        file("summary.tsv", summary_);
        file("run.json", run);
        file("failures.tsv", line({"input", "record", "name", "code", "message"}) + failures);
    }

    void embeddings(std::string const& name, std::vector<float> const& values, index_t width) {
        std::filesystem::create_directories((path() / name).parent_path());
        NpyWriter writer(path() / name, width);
        writer.append({values.data(), static_cast<index_t>(values.size()) / width, width});
        writer.close();
    }

    static std::string line(Cells const& cells) {
        std::string text;
        for (auto const& cell : cells) {
            text += cell + '\t';
        }
        text.back() = '\n';
        return text;
    }

private:
    TempDir folder_;
    std::string summary_;
};

} // namespace strandwave
