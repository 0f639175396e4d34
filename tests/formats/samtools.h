#pragma once

#include "tests/formats/read_records.h"
#include "tests/support/run_program.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace strandwave {

/// A fixture that skips where samtools is missing, with a folder for its output.
class WithSamtools : public testing::Test {
protected:
    void SetUp() override {
        if (run_program(folder_.path(), {"--version"}, "", "samtools").exit_code != 0) {
            GTEST_SKIP() << "samtools is not installed";
        }
    }

    /// What it prints. Throws std::runtime_error when it fails.
    std::string samtools(std::vector<std::string> arguments) const {
        auto const run = run_program(folder_.path(), arguments, "", "samtools");
        if (run.exit_code != 0) { throw std::runtime_error("samtools " + arguments.front() + ": " + run.err); }
        return run.out;
    }

    /// The alignments as SAM lines. CRAM gets its bases from `reference`.
    std::string alignments(std::filesystem::path const& file, std::filesystem::path const& reference = "") const {
        std::vector<std::string> arguments = {"view", file};
        if (!reference.empty()) { arguments.insert(arguments.end(), {"--reference", reference}); }
        return samtools(arguments);
    }

    std::string header(std::filesystem::path const& file) const {
        return samtools({"view", "-H", "--no-PG", file.string()});
    }

    TemporaryFolder folder_;
};

} // namespace strandwave
