// The collections of odd and broken files that other projects keep (htslib, samtools, hts-specs, Biopython): none may
// crash or hang a reader, every broken one is refused, every odd but valid one is read.

#include "tests/formats/read_records.h"

#include <cstdlib>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

fs::path hostile_folder() { return fs::path(STRANDWAVE_SOURCE_DIR).parent_path() / "shared" / "data" / "hostile"; }

std::vector<fs::path> files_below(fs::path const& folder) {
    std::vector<fs::path> files;
    for (auto const& entry : fs::recursive_directory_iterator(folder)) {
        if (entry.is_regular_file()) { files.push_back(entry.path()); }
    }
    return files;
}

/// Reads to the end whatever it is; sound counts as opened.
std::optional<Error> error_of(fs::path const& path, InputOptions const& options = {}) {
    auto input = open_input(path, options);
    if (!input) { return input.error(); }
    return input->sequence ? read_all(*input->sequence, 1 << 20).error : std::nullopt;
}

TEST(HostileFiles, fastq_of_biopython) {
    auto const folder = hostile_folder() / "hostile_fastx";
    if (!fs::exists(folder)) { GTEST_SKIP() << "no " << folder; }
    int refused = 0;
    int read = 0;
    for (auto const& path : files_below(folder)) {
        auto const name = path.filename().string();
        if (path.extension() == ".qual") { continue; } // FASTA of numbers: not DNA
        auto const error = error_of(path);
        bool const broken = name.rfind("error_", 0) == 0;
        EXPECT_EQ(error.has_value(), broken) << name << ": " << (error ? error->message() : "was read");
        (broken ? refused : read) += 1;
    }
    EXPECT_EQ(refused, 22);
    EXPECT_GE(read, 37);
}

class HtsFiles : public testing::Test {
protected:
    static void SetUpTestSuite() {
        auto const archive = hostile_folder() / "hts.tar.gz";
        if (!fs::exists(archive)) { return; }
        folder_ = new TemporaryFolder;
        auto const command = "tar -xzf '" + archive.string() + "' -C '" + folder_->path().string() + "'";
        if (std::system(command.c_str()) != 0) { throw std::runtime_error("cannot unpack " + archive.string()); }
    }
    static void TearDownTestSuite() { delete folder_; }
    void SetUp() override {
        if (folder_ == nullptr) { GTEST_SKIP() << "no " << hostile_folder() / "hts.tar.gz"; }
    }

    static TemporaryFolder* folder_;
};

TemporaryFolder* HtsFiles::folder_ = nullptr;

TEST_F(HtsFiles, give_records_or_an_error) {
    for (auto const& path : files_below(folder_->path())) {
        SCOPED_TRACE(path);
        if (auto const error = error_of(path)) { EXPECT_FALSE(error->message().empty()); }
    }
}

TEST_F(HtsFiles, of_hts_specs_that_pass_are_read) {
    for (auto const* folder : {"hts-specs_test/sam/passed", "hts-specs_test/bam/passed"}) {
        for (auto const& path : files_below(folder_->path() / folder)) {
            if (path.extension() != ".sam" && path.extension() != ".bam") { continue; }
            auto const error = error_of(path);
            bool const needs_reference = path.filename() == "seq.pass.sam" || path.filename() == "seq.warn.sam"; // '='
            EXPECT_EQ(error.has_value(), needs_reference) << path << ": " << (error ? error->message() : "was read");
        }
    }
}

TEST_F(HtsFiles, of_hts_specs_that_fail_are_refused_where_htslib_looks) {
    int refused = 0;
    for (auto const& path : files_below(folder_->path() / "hts-specs_test" / "sam" / "failed")) {
        if (path.extension() == ".sam" && error_of(path)) { ++refused; }
    }
    EXPECT_GE(refused, 37); // of 108: htslib does not look at header lines, names and most tags
}

TEST_F(HtsFiles, that_are_cut_short_are_refused) {
    int cut = 0;
    for (auto const& path : files_below(folder_->path() / "samtools_test" / "quickcheck")) {
        auto const name = path.filename().string();
        if (name.find("truncated") == std::string::npos && name.find("badeof") == std::string::npos) { continue; }
        auto const error = error_of(path);
        ASSERT_TRUE(error) << name;
        EXPECT_EQ(error->code(), ErrorCode::truncated_input) << error->message();
        ++cut;
    }
    EXPECT_GE(cut, 4);
}

} // namespace
} // namespace strandwave
