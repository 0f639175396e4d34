#include "formats/alignment_reader.h"
#include "tests/formats/read_records.h"

#include <cstdlib>
#include <htslib/sam.h>

namespace strandwave {
namespace {

namespace fs = std::filesystem;
using Records = std::vector<TestRecord>;

std::string const kHeader = "@HD\tVN:1.6\n@SQ\tSN:chr1\tLN:1000\n";

std::string sam_line(std::string const& name, int flag, std::string const& cigar, std::string const& bases) {
    return name + "\t" + std::to_string(flag) + "\tchr1\t10\t60\t" + cigar + "\t*\t0\t0\t" + bases + "\t*\n";
}

ReadResult read_sam(std::string const& lines, index_t max_symbols = kWhole, InputOptions const& options = {}) {
    TemporaryFolder const folder;
    return read_file(folder.write("a.sam", kHeader + lines), max_symbols, options);
}

TEST(AlignmentReader, gives_reverse_reads_as_the_instrument_read_them) {
    for (index_t const max_symbols : {index_t{1}, index_t{4}, kWhole}) {
        auto const result = read_sam(sam_line("a", 16, "16M", "ACGTMRWSYKVHDBNA"), max_symbols);
        EXPECT_EQ(result.records, (Records{{"a", "", "TNVHDBMRSWYKACGT"}}));
    }
}

TEST(AlignmentReader, skips_and_counts_secondary_and_supplementary_records) {
    auto const lines = sam_line("a", 0, "4M", "ACGT") + sam_line("a", 256, "4M", "ACGT") +
                       sam_line("a", 2064, "4M", "AACC") + sam_line("b", 0, "4M", "TTTT");
    auto const primary = read_sam(lines);
    EXPECT_EQ(primary.records, (Records{{"a", "", "ACGT"}, {"b", "", "TTTT"}}));
    EXPECT_EQ(primary.skipped, 2);
    InputOptions options;
    options.sequence.keep_secondary = true;
    auto const all = read_sam(lines, kWhole, options);
    EXPECT_EQ(all.records, (Records{{"a", "", "ACGT"}, {"a", "", "ACGT"}, {"a", "", "GGTT"}, {"b", "", "TTTT"}}));
    EXPECT_EQ(all.skipped, 0);
}

TEST(AlignmentReader, tells_which_read_of_a_pair) {
    auto const lines = sam_line("a", 0x1 | 0x40, "4M", "ACGT") + sam_line("a", 0x1 | 0x80, "4M", "ACGT") +
                       sam_line("a", 0x1 | 0x40 | 0x80, "4M", "ACGT") + sam_line("a", 0x40, "4M", "ACGT");
    EXPECT_EQ(read_sam(lines).records,
              (Records{{"a", "1", "ACGT"}, {"a", "2", "ACGT"}, {"a", "", "ACGT"}, {"a", "", "ACGT"}}));
}

TEST(AlignmentReader, keeps_soft_clipped_bases_and_reads_without_sequence) {
    auto const lines = sam_line("a", 0, "2S2M5H", "ACGT") + sam_line("b", 4, "*", "*");
    EXPECT_EQ(read_sam(lines).records, (Records{{"a", "", "ACGT"}, {"b", "", ""}}));
}

TEST(AlignmentReader, refuses_bases_that_only_the_reference_knows) {
    auto const result = read_sam(sam_line("a", 0, "4M", "A=GT"));
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->code(), ErrorCode::unsupported) << result.error->message();
}

TEST(AlignmentReader, names_record_and_line_of_what_it_refuses) {
    auto const result = read_sam(sam_line("a", 0, "4M", "ACGT") + sam_line("b", 0, "5M", "ACGT"));
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->code(), ErrorCode::malformed_input);
    EXPECT_NE(result.error->message().find("record 2 (line 4)"), std::string::npos) << result.error->message();
    EXPECT_EQ(result.records.size(), 1U);
}

TEST(AlignmentReader, hints_at_the_header_that_a_mapped_read_needs) {
    TemporaryFolder const folder;
    auto const result = read_file(folder.write("a.sam", sam_line("a", 0, "4M", "ACGT")));
    ASSERT_TRUE(result.error);
    EXPECT_NE(result.error->message().find("@SQ"), std::string::npos) << result.error->message();
}

/// Makes a CRAM whose header names a reference that is there, by path and by checksum in REF_PATH.
class CramReference : public testing::Test {
protected:
    void SetUp() override {
        reference_ = folder_.write("reference.fa", file_bytes(data_folder() / "cram" / "reference.fa"));
        std::string bases;
        std::ifstream file(reference_);
        for (std::string line; std::getline(file, line);) {
            bases += line[0] == '>' ? "" : line;
        }
        folder_.write("5f1c592d49670c03529f8bb640bc36e8", bases); // its MD5 sum, as valid.cram has it
        fs::copy_file(data_folder() / "cram" / "valid.cram", folder_.path() / "a.cram");
        setenv("REF_PATH", (folder_.path() / "%s").c_str(), 1);
        back_ = fs::current_path();
        fs::current_path(folder_.path()); // the header's UR is the relative path reference.fa
    }
    void TearDown() override {
        fs::current_path(back_);
        unsetenv("REF_PATH");
    }

    ReadResult read(fs::path const& reference) const {
        InputOptions options;
        options.sequence.reference = reference;
        return read_file(folder_.path() / "a.cram", kWhole, options);
    }

    TemporaryFolder folder_;
    fs::path reference_, back_;
};

TEST_F(CramReference, is_looked_for_nowhere_but_where_the_user_says) {
    htsFile* const file = hts_open("a.cram", "r"); // htslib by itself finds it
    sam_hdr_t* const header = sam_hdr_read(file);
    bam1_t* const alignment = bam_init1();
    EXPECT_GE(sam_read1(file, header, alignment), 0);
    bam_destroy1(alignment);
    sam_hdr_destroy(header);
    hts_close(file);

    auto const without = read("");
    ASSERT_TRUE(without.error);
    EXPECT_NE(without.error->message().find("--reference"), std::string::npos) << without.error->message();
    EXPECT_TRUE(without.records.empty());
    EXPECT_FALSE(read(reference_).error);
}

TEST_F(CramReference, lacking_the_sequence_is_an_error) {
    auto const result = read(folder_.write("other.fa", ">chr2\nACGT\n"));
    ASSERT_TRUE(result.error);
    EXPECT_NE(result.error->message().find("other.fa"), std::string::npos) << result.error->message();
}

TEST_F(CramReference, of_other_bases_is_an_error) {
    auto const result = read(folder_.write("other.fa", ">chr1\n" + std::string(150, 'A') + "\n"));
    ASSERT_TRUE(result.error);
    EXPECT_NE(result.error->message().find("other.fa"), std::string::npos) << result.error->message();
}

TEST_F(CramReference, missing_or_malformed_is_an_error) {
    EXPECT_EQ(read("missing.fa").error.value_or(Error(ErrorCode::io, "")).code(), ErrorCode::not_found);
    EXPECT_EQ(read("http://reference.invalid/a.fa").error.value_or(Error(ErrorCode::io, "")).code(),
              ErrorCode::not_found);
    EXPECT_TRUE(read(folder_.write("no.fa", "not FASTA")).error);
}

} // namespace
} // namespace strandwave
