#include "formats/alignment_file.h"

#include "formats/cram_reference_search.h"
#include "lib/core/error.h"

#include <htslib/bgzf.h>
#include <htslib/cram.h>
#include <htslib/hts.h>
#include <htslib/sam.h>

namespace strandwave {
namespace {

constexpr int kNormalEnd = -1; // of sam_read1
constexpr int kNoEndMarker = 0;

} // namespace

void AlignmentFile::CloseFile::operator()(htsFile* file) const noexcept { hts_close(file); }
void AlignmentFile::DestroyHeader::operator()(sam_hdr_t* header) const noexcept { sam_hdr_destroy(header); }
void AlignmentFile::DestroyAlignment::operator()(bam1_t* alignment) const noexcept { bam_destroy1(alignment); }

AlignmentFile::AlignmentFile(FileBytes bytes, std::string name, SequenceReaderOptions const& options, int cram_fields)
    : name_(std::move(name)), keep_secondary_(options.keep_secondary), alignment_(bam_init1()) {
    file_.reset(hts_hopen(bytes.get(), name_.c_str(), "r"));
    if (!file_) { throw malformed("its header cannot be read; the file is damaged or cut short"); }
    static_cast<void>(bytes.release()); // the htsFile closes it
    if (hts_check_EOF(file_.get()) == kNoEndMarker) { throw truncated("has no end marker"); }
    if (is_cram()) { set_up_cram(options, cram_fields); }
    if (options.decompression_threads > 0) { hts_set_threads(file_.get(), options.decompression_threads); }
    header_.reset(sam_hdr_read(file_.get()));
    if (!header_) { throw malformed("its header cannot be read; the file is damaged or cut short"); }
}

bool AlignmentFile::next() {
    ++count_;
    auto const outcome = sam_read1(file_.get(), header_.get(), alignment_.get());
    if (outcome == kNormalEnd) {
        check_end_marker();
        return false;
    }
    if (outcome < 0) { throw broken(outcome); }
    return true;
}

bool AlignmentFile::is_given() const noexcept {
    return keep_secondary_ || (alignment_->core.flag & (BAM_FSECONDARY | BAM_FSUPPLEMENTARY)) == 0;
}

std::string AlignmentFile::where() const {
    auto text = "record " + std::to_string(count_);
    if (file_->format.format == sam) { text += " (line " + std::to_string(file_->lineno) + ")"; }
    return text;
}

bool AlignmentFile::is_cram() const noexcept { return file_->format.format == cram; }

void AlignmentFile::set_up_cram(SequenceReaderOptions const& options, int fields) {
    whole_header_.reset(sam_hdr_dup(cram_fd_get_header(file_->fp.cram))); // the other one forgets about references
    set_cram_reference(*file_, name_, options.reference);
    reference_ = options.reference.string();
    if (fields != 0) { hts_set_opt(file_.get(), CRAM_OPT_REQUIRED_FIELDS, fields); }
}

/// A pipe cannot be asked for its end marker in advance: htslib notes at the end whether it came.
void AlignmentFile::check_end_marker() const {
    if (is_cram()) {
        constexpr int kEndWithoutMarker = 2;
        if (cram_eof(file_->fp.cram) == kEndWithoutMarker) { throw truncated("ends without its end marker"); }
    } else if (file_->is_bgzf && file_->fp.bgzf->no_eof_block) {
        throw truncated("ends without its end marker");
    }
}

Error AlignmentFile::broken(int outcome) const {
    if (is_cram()) {
        return malformed(where() + " cannot be decoded: the file is damaged or cut short, or " +
                         (reference_.empty()
                              ? "needs a reference; name its FASTA with --reference, or its folder in REF_PATH"
                              : reference_ + " is not the reference it was written with"));
    }
    bool const cut_block = file_->is_bgzf && (file_->fp.bgzf->errcode & BGZF_ERR_IO) != 0;
    bool const cut_record = file_->format.format == bam && (outcome == -2 || outcome == -3);
    if (cut_block || cut_record) { return truncated("ends inside " + where()); }
    bool const no_places = file_->format.format == sam && sam_hdr_nref(header_.get()) == 0;
    return malformed(where() + " is malformed" + (no_places ? " (a mapped read needs @SQ lines in the header)" : ""));
}

Error AlignmentFile::malformed(std::string const& reason) const {
    return {ErrorCode::malformed_input, name_ + ": " + reason};
}

Error AlignmentFile::truncated(std::string const& reason) const {
    return {ErrorCode::truncated_input, name_ + ": " + reason + ", so it is cut short; copy or download it again"};
}

} // namespace strandwave
