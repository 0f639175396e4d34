#include "formats/cram_writer.h"
#include "tests/formats/file_size_limit.h"
#include "tests/formats/odd_alignments.h"
#include "tests/formats/samtools.h"

#include <algorithm>

namespace strandwave {
namespace {

namespace fs = std::filesystem;

class CramWriter : public WithSamtools {
protected:
    fs::path bam_of(std::string const& sam) const {
        auto const text = folder_.write("a.sam", sam);
        samtools({"view", "-b", "--no-PG", "-o", (folder_.path() / "a.bam").string(), text.string()});
        return folder_.path() / "a.bam";
    }

    fs::path written(fs::path const& bam, fs::path const& reference) const {
        write_cram(bam, folder_.path() / "a.cram", reference, 2);
        samtools({"quickcheck", "-u", (folder_.path() / "a.cram").string()});
        return folder_.path() / "a.cram";
    }

    /// Under that name or one made of it.
    bool has_file(std::string const& name) const {
        fs::directory_iterator const files(folder_.path());
        return std::any_of(begin(files), end(files), [&name](auto const& entry) {
            return entry.path().filename().string().find(name) != std::string::npos;
        });
    }

    fs::path reference() const { return folder_.write("r.fa", ">chr1\n" + bases_ + "\n>chr2\nACGTACGTAC\n"); }

    std::string const bases_ = "ACGTTGCAACGGTTACGATCGATCAGCTTACGATCAGCATCAGCATCACT";
    std::string const header_ = "@SQ\tSN:chr1\tLN:50\n@SQ\tSN:chr2\tLN:10\n";
    std::string const lines_ = "a\t0\tchr1\t1\t60\t20M\t*\t0\t0\tACGTTGCAACGGTTACGATC\t" + std::string(20, 'I') +
                               "\tNM:i:0\tMD:Z:20\txl:Z:E. coli\txp:f:0.75\nb\t4\t*\t0\t0\t*\t*\t0\t0\tNNNN\t*\n";
};

TEST_F(CramWriter, keeps_every_alignment) {
    auto const bam = bam_of(odd_sam(100));
    EXPECT_EQ(alignments(written(bam, "")), alignments(bam));
    EXPECT_EQ(header(folder_.path() / "a.cram"), header(bam));
}

TEST_F(CramWriter, uses_a_reference_that_has_all_sequences) {
    auto const bam = bam_of(header_ + lines_);
    auto const with = written(bam, reference());
    EXPECT_EQ(alignments(with, reference()), alignments(bam));
    EXPECT_NE(header(with).find("UR:"), std::string::npos);
    auto const other = folder_.write("other.fa", ">chr1\n" + bases_ + "\n>chr3\nACGTACGTAC\n");
    auto const without = written(bam, other);
    EXPECT_EQ(alignments(without), alignments(bam));
    EXPECT_EQ(header(without), header(bam));
}

TEST_F(CramWriter, a_full_disk_leaves_nothing) {
    auto const bam = bam_of(odd_sam(12'000)); // more than a container
    for (rlim_t const bytes : {10, 2000}) {   // cut in the header, in the alignments
        FileSizeLimit const limit(bytes);
        EXPECT_THROW(write_cram(bam, folder_.path() / "full.cram", "", 0), Error);
        EXPECT_FALSE(has_file("full.cram"));
    }
}

TEST_F(CramWriter, a_damaged_input_leaves_nothing) {
    auto const bam = bam_of(odd_sam(100));
    auto const bytes = file_bytes(bam);
    auto const cut = folder_.write("cut.bam", bytes.substr(0, bytes.size() / 2));
    EXPECT_THROW(write_cram(cut, folder_.path() / "cut.cram", "", 0), Error);
    EXPECT_THROW(write_cram(bam, folder_.path() / "cut.cram", folder_.path() / "missing.fa", 0), Error);
    EXPECT_FALSE(has_file("cut.cram"));
}

} // namespace
} // namespace strandwave
