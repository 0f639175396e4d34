#include "pipelines/batch/batch_input.h"

#include "lib/core/error.h"
#include "tests/support/small_models.h"
#include "tests/support/temp_dir.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

InputSearch const kSound{true, false, {}}, kPaired{false, true, {}};

class BatchInputTest : public testing::Test {
protected:
    fs::path file(std::string const& name, std::string const& text = "") const {
        auto const path = folder_.path() / name;
        fs::create_directories(path.parent_path());
        return write_text(path, text);
    }

    /// "output < file + mates", a line each.
    std::vector<std::string> find(std::vector<fs::path> const& arguments, InputSearch const& search = {}) const {
        return describe(find_inputs(arguments, search));
    }

    std::vector<std::string> describe(std::vector<BatchInput> const& inputs) const {
        std::vector<std::string> lines;
        for (auto const& input : inputs) {
            auto line = input.output.string() + " < " + input.path.lexically_relative(folder_.path()).string();
            if (!input.mates.empty()) { line += " + " + input.mates.lexically_relative(folder_.path()).string(); }
            lines.push_back(line);
        }
        return lines;
    }

    ErrorCode refusal(std::vector<fs::path> const& arguments, InputSearch const& search = {}) const {
        try {
            (void)find_inputs(arguments, search);
        } catch (Error const& error) { return error.code(); }
        return ErrorCode::unsupported; // no refusal gives this
    }

    std::string sheet_error(std::string const& text) const {
        try {
            (void)read_sample_sheet(file("sheet.tsv", text));
        } catch (Error const& error) { return error.message().substr(folder_.path().string().size() + 1); }
        return "none";
    }

    using Lines = std::vector<std::string>;
    TempDir folder_;
};

TEST_F(BatchInputTest, AFolderGivesItsFilesOfTheKindInOrder) {
    for (auto const* name :
         {"b.fa", "a/x.fq.gz", "a/.hidden.fa", ".git/y.fa", "note.txt", "s.wav", "c.FASTA", "d.bam.bai"}) {
        file(name);
    }
    EXPECT_EQ(find({folder_.path()}), (Lines{"a/x.fq.gz < a/x.fq.gz", "b.fa < b.fa", "c.FASTA < c.FASTA"}));
    EXPECT_EQ(find({folder_.path()}, kSound), (Lines{"s.wav < s.wav"}));
}

TEST_F(BatchInputTest, OutputsInASearchedFolderAreNoInputs) {
    file("a.fa");
    file("out/b.fa");
    EXPECT_EQ(find({folder_.path()}, {false, false, folder_.path() / "out"}), (Lines{"a.fa < a.fa"}));
}

TEST_F(BatchInputTest, LinksToFoldersAreNotFollowedAndDeadLinksAreReported) {
    file("a.fa");
    fs::create_directory_symlink(folder_.path(), folder_.path() / "loop");
    fs::create_symlink("nowhere", folder_.path() / "dead.fa");
    fs::create_symlink("self.fa", folder_.path() / "self.fa");
    EXPECT_EQ(find({folder_.path()}), (Lines{"a.fa < a.fa", "dead.fa < dead.fa", "self.fa < self.fa"}));
}

TEST_F(BatchInputTest, FilesAreNamedBelowTheFolderThatTheyShare) {
    auto const a = file("x/a/reads.fq"), b = file("x/b/reads.fq");
    EXPECT_EQ(find({a}), (Lines{"reads.fq < x/a/reads.fq"}));
    EXPECT_EQ(find({a, b}), (Lines{"a/reads.fq < x/a/reads.fq", "b/reads.fq < x/b/reads.fq"}));
    EXPECT_EQ(find({folder_.path() / "x/*/reads.fq"}), find({a, b}));
    EXPECT_EQ(refusal({a, a}), ErrorCode::invalid_argument);
    EXPECT_EQ(refusal({folder_.path() / "none*"}), ErrorCode::not_found);
    EXPECT_EQ(refusal({folder_.path() / "none.fa"}), ErrorCode::not_found);
}

TEST_F(BatchInputTest, PairsAreFoundByTheirNames) {
    auto const names = {"a_R1.fq.gz", "a_R2.fq.gz",          "b_1.fastq",
                        "b_2.fastq",  "c_S1_L001_R1_001.fq", "c_S1_L001_R2_001.fq"};
    for (auto const* name : names) {
        file(name);
    }
    EXPECT_EQ(find({folder_.path()}, kPaired),
              (Lines{"a_R1.fq.gz < a_R1.fq.gz + a_R2.fq.gz", "b_1.fastq < b_1.fastq + b_2.fastq",
                     "c_S1_L001_R1_001.fq < c_S1_L001_R1_001.fq + c_S1_L001_R2_001.fq"}));
    file("alone_R1.fq");
    EXPECT_EQ(refusal({folder_.path()}, kPaired), ErrorCode::invalid_argument);
}

TEST_F(BatchInputTest, ASheetNamesOutputsMatesAndLabels) {
    auto const sheet = file("s/sheet.tsv", "sample\tpath\tlabel\tmate\r\nx\ta.fq\tcoli\tb.fq\r\n\t../c.fq\t\t\n\n");
    auto const inputs = read_sample_sheet(sheet);
    ASSERT_EQ(inputs.size(), 2);
    EXPECT_EQ(inputs[0], (BatchInput{sheet.parent_path() / "a.fq", sheet.parent_path() / "b.fq", "x", "x", "coli"}));
    EXPECT_EQ(inputs[1].output, "c.fq");
    auto const commas = read_sample_sheet(file("sheet.csv", "path,label\na.fa,x y\n"));
    EXPECT_EQ(commas.at(0).label, "x y");
}

TEST_F(BatchInputTest, WhatIsWrongWithASheetIsSaidWithItsLine) {
    EXPECT_EQ(sheet_error(""), "sheet.tsv: is empty");
    EXPECT_EQ(sheet_error("path\tlabel\n\n"), "sheet.tsv: names no input");
    EXPECT_EQ(sheet_error("name\tpath\n"),
              "sheet.tsv: line 1: unknown column 'name'; known are path, mate, sample and label");
    EXPECT_EQ(sheet_error("sample\n"), "sheet.tsv: line 1: needs one column `path`");
    EXPECT_EQ(sheet_error("path\tlabel\na\tb\nc\n"), "sheet.tsv: line 3: has 1 cells, the first line 2");
    EXPECT_EQ(sheet_error("path\tlabel\n\tx\n"), "sheet.tsv: line 2: has no path");
    EXPECT_EQ(sheet_error("path\tsample\na\t../up\n"),
              "sheet.tsv: line 2: the sample's name leads out of the output folder");
    EXPECT_NE(sheet_error("path\tsample\na\tx\nb\tx\n").find("named like another's"), std::string::npos);
}

} // namespace
} // namespace strandwave
