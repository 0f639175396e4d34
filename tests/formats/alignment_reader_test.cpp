#include "formats/alignment_reader.h"
#include "formats/cram_reference_search.h"
#include "tests/formats/read_records.h"

#include <cstdlib>
#include <htslib/cram.h>
#include <htslib/kstring.h>
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

TEST(AlignmentReader, trims_the_end_that_was_read_last) {
    auto const line = [](std::string const& name, int flag, std::string const& bases, std::string const& quality) {
        auto text = sam_line(name, flag, std::to_string(bases.size()) + "M", bases);
        return text.replace(text.size() - 2, 1, quality);
    };
    InputOptions options;
    options.sequence.trim_quality = 20;
    auto const lines = line("a", 0, "ACGTTT", "IIII##") + line("b", 16, "ACGTTT", "##IIII") +
                       line("c", 16, "ACGTTT", "IIII##") + line("d", 0, "ACGT", "####") + line("e", 0, "ACGT", "*") +
                       sam_line("f", 4, "*", "*");
    for (index_t const max_symbols : {index_t{1}, index_t{3}, kWhole}) {
        auto const result = read_sam(lines, max_symbols, options);
        EXPECT_FALSE(result.error) << result.error->message();
        EXPECT_EQ(result.records, (Records{{"a", "", "ACGT"},
                                           {"b", "", "AAAC"},
                                           {"c", "", "AAACGT"},
                                           {"d", "", ""},
                                           {"e", "", "ACGT"},
                                           {"f", "", ""}}));
    }
    EXPECT_EQ(read_sam(lines).records.at(1).symbols, "AAACGT");
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

/// A CRAM whose header names a reference that is there, by path and by checksum.
class CramReference : public testing::Test {
protected:
    void SetUp() override {
        reference_ = folder_.write("reference.fa", file_bytes(data_folder() / "cram" / "reference.fa"));
        std::ifstream file(reference_);
        for (std::string line; std::getline(file, line);) {
            bases_ += line[0] == '>' ? "" : line;
        }
        fs::create_directories(folder_.path() / "refs/5f/1c");
        by_checksum_ = folder_.write("refs/" + kChecksum, bases_);
        folder_.write("refs/5f/1c/" + kChecksum.substr(4), bases_);
        fs::copy_file(data_folder() / "cram" / "valid.cram", folder_.path() / "a.cram");
        set_ref_path((folder_.path() / "refs").string());
        back_ = fs::current_path();
        fs::current_path(folder_.path()); // the header's UR is the relative path reference.fa
    }
    void TearDown() override {
        fs::current_path(back_);
        unsetenv("REF_PATH");
    }

    static void set_ref_path(std::string const& value) { setenv("REF_PATH", value.c_str(), 1); }

    ReadResult read(fs::path const& reference, std::string const& name = "a.cram") const {
        InputOptions options;
        options.sequence.reference = reference;
        return read_file(folder_.path() / name, kWhole, options);
    }

    /// Writes one read of chr1 against reference.fa, with these tags in the header.
    void write_cram(std::string const& name, std::string const& tags) const {
        std::string text = "@SQ\tSN:chr1\tLN:150\t" + tags + "\n";
        std::string line = "a\t0\tchr1\t1\t60\t100M\t*\t0\t0\t" + bases_.substr(0, 100) + "\t*";
        kstring_t alignment_text{line.size(), line.size() + 1, line.data()};
        sam_hdr_t* const header = sam_hdr_parse(text.size(), text.data());
        bam1_t* const alignment = bam_init1();
        htsFile* const file = hts_open(name.c_str(), "wc");
        EXPECT_EQ(hts_set_opt(file, CRAM_OPT_REFERENCE, reference_.c_str()), 0);
        EXPECT_EQ(sam_hdr_write(file, header), 0);
        EXPECT_GE(sam_parse1(&alignment_text, header, alignment), 0);
        EXPECT_GE(sam_write1(file, header, alignment), 0);
        EXPECT_EQ(hts_close(file), 0);
        bam_destroy1(alignment);
        sam_hdr_destroy(header);
    }

    static bool htslib_finds_reference(std::string const& name) {
        htsFile* const file = hts_open(name.c_str(), "r");
        sam_hdr_t* const header = sam_hdr_read(file);
        bam1_t* const alignment = bam_init1();
        bool const found = sam_read1(file, header, alignment) >= 0;
        bam_destroy1(alignment);
        sam_hdr_destroy(header);
        hts_close(file);
        return found;
    }

    inline static std::string const kChecksum = "5f1c592d49670c03529f8bb640bc36e8"; // MD5, as valid.cram has it

    TemporaryFolder folder_;
    fs::path reference_, by_checksum_, back_;
    std::string bases_;
};

TEST_F(CramReference, is_looked_for_nowhere_but_where_the_user_says) {
    set_ref_path("/nowhere/%s");
    write_cram("twice.cram", "M5:" + kChecksum + "\tUR:nowhere.fa\tUR:reference.fa");
    for (auto const* name : {"a.cram", "twice.cram"}) {
        for (auto const* place : {"/nowhere/%s", "https://reference.invalid/%s"}) {
            set_ref_path(place);
            auto const without = read("", name);
            ASSERT_TRUE(without.error) << name;
            EXPECT_NE(without.error->message().find("--reference"), std::string::npos) << without.error->message();
            EXPECT_TRUE(without.records.empty());
        }
        EXPECT_FALSE(read(reference_, name).error) << name;
    }
    unsetenv("REF_PATH");
    EXPECT_TRUE(read("").error);
    set_ref_path("/nowhere/%s");
    EXPECT_TRUE(htslib_finds_reference("a.cram")); // by itself, at UR
}

TEST_F(CramReference, is_found_by_checksum_in_local_folders_of_ref_path) {
    auto const expected = read(reference_).records;
    EXPECT_FALSE(expected.empty());
    auto const refs = (folder_.path() / "refs").string();
    for (auto const& place :
         {refs, refs + "/%s", refs + "/%2s/%2s/%s", std::string("refs"), "/nowhere:" + refs,
          "https://reference.invalid:80/%s:" + refs, std::string("URL=http:://reference.invalid/%s:refs/%s")}) {
        set_ref_path(place);
        auto const result = read("");
        EXPECT_FALSE(result.error) << place << ": " << result.error->message();
        EXPECT_EQ(result.records, expected) << place;
        EXPECT_EQ(std::string(std::getenv("REF_PATH")).find("://"), std::string::npos) << place;
    }
}

TEST_F(CramReference, of_other_bases_in_ref_path_is_an_error) {
    folder_.write("refs/" + kChecksum, std::string(bases_.size(), 'A'));
    EXPECT_TRUE(read("").error);
}

TEST_F(CramReference, is_no_file_that_the_header_names_in_place_of_a_checksum) {
    write_cram("path.cram", "M5:" + by_checksum_.string());
    EXPECT_TRUE(htslib_finds_reference("path.cram"));
    EXPECT_TRUE(read("", "path.cram").error);
    EXPECT_FALSE(read(reference_, "path.cram").error);
}

TEST_F(CramReference, a_search_path_keeps_its_local_elements) {
    auto const here = folder_.path().string();
    EXPECT_EQ(local_search_path(""), "");
    EXPECT_EQ(local_search_path(":/a::"), "");
    EXPECT_EQ(local_search_path(":/a:"), "/a");
    EXPECT_EQ(local_search_path("/a/%2s/%2s/%s:/b:c"), "/a/%2s/%2s/%s:/b:" + here + "/c");
    for (auto const* url : {"http://h/%s", "https://h:8080/x/%s", "ftp://h", "http://h:80", "http:://h::80/x/%s",
                            "s3://h/x", "URL=http://h/x", "|https://h/x"}) {
        EXPECT_EQ(local_search_path(url), "") << url;
        EXPECT_EQ(local_search_path("/a:" + std::string(url) + ":/b/%s"), "/a:/b/%s") << url;
    }
    EXPECT_EQ(local_search_path("http:h"), here + "/http:" + here + "/h"); // folders: nothing says URL
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
