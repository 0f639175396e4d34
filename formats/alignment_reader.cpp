#include "formats/alignment_reader.h"

#include "formats/guarded_reader.h"

#include <algorithm>
#include <htslib/bgzf.h>
#include <htslib/cram.h>
#include <htslib/hts.h>
#include <htslib/sam.h>
#include <string_view>

namespace strandwave {
namespace {

/// By 4-bit code; the complement swaps A-T, C-G, M-K, R-Y, V-B, H-D. Code 0 is '='.
constexpr std::string_view kForward = "=ACMGRSVTWYHKDBN";
constexpr std::string_view kComplement = "=TGKCYSBAWRDMHVN";

constexpr int kNormalEnd = -1; // of sam_read1
constexpr int kNoEndMarker = 0;

struct CloseAlignments {
    void operator()(htsFile* file) const noexcept { hts_close(file); }
};
struct DestroyHeader {
    void operator()(sam_hdr_t* header) const noexcept { sam_hdr_destroy(header); }
};
struct DestroyAlignment {
    void operator()(bam1_t* alignment) const noexcept { bam_destroy1(alignment); }
};

/// Takes away what would make htslib look for a reference by itself: the checksums that it asks the network for, and
/// the places that the file names.
void forget_reference_places(sam_hdr_t* header) {
    for (int i = 0; i < sam_hdr_nref(header); ++i) {
        char const* const sequence = sam_hdr_tid2name(header, i);
        sam_hdr_remove_tag_id(header, "SQ", "SN", sequence, "M5");
        sam_hdr_remove_tag_id(header, "SQ", "SN", sequence, "UR");
    }
}

class AlignmentReader final : public GuardedReader {
public:
    AlignmentReader(FileBytes bytes, std::string name, SequenceReaderOptions const& options)
        : name_(std::move(name)), keep_secondary_(options.keep_secondary), alignment_(bam_init1()) {
        file_.reset(hts_hopen(bytes.get(), name_.c_str(), "r"));
        if (!file_) { throw malformed("its header cannot be read; the file is damaged or cut short"); }
        static_cast<void>(bytes.release()); // the htsFile closes it
        if (hts_check_EOF(file_.get()) == kNoEndMarker) { throw truncated("has no end marker"); }
        if (is_cram()) { set_up_cram(options); }
        if (options.decompression_threads > 0) { hts_set_threads(file_.get(), options.decompression_threads); }
        header_.reset(sam_hdr_read(file_.get()));
        if (!header_) { throw malformed("its header cannot be read; the file is damaged or cut short"); }
    }

    index_t skipped_records() const override { return skipped_; }

private:
    ReadOutcome read(SequenceChunk& chunk, index_t max_symbols) override {
        if (!in_record_ && !next_alignment()) { return ReadOutcome::end_of_stream; }
        index_t const length = alignment_->core.l_qseq;
        index_t const count = std::min(max_symbols, length - offset_);
        chunk = {.record = record_,
                 .name = bam_get_qname(alignment_),
                 .description = mate_number(),
                 .offset = offset_,
                 .first = offset_ == 0,
                 .last = offset_ + count == length,
                 .symbols = std::move(chunk.symbols)};
        decode(chunk.symbols, count);
        offset_ += count;
        in_record_ = !chunk.last;
        return ReadOutcome::chunk;
    }

    bool next_alignment() {
        while (true) {
            auto const outcome = sam_read1(file_.get(), header_.get(), alignment_.get());
            if (outcome == kNormalEnd) {
                check_end_marker();
                return false;
            }
            if (outcome < 0) { throw broken(outcome); }
            if (keep_secondary_ || (alignment_->core.flag & (BAM_FSECONDARY | BAM_FSUPPLEMENTARY)) == 0) { break; }
            ++skipped_;
        }
        ++record_;
        offset_ = 0;
        in_record_ = true;
        return true;
    }

    void decode(std::string& symbols, index_t count) const {
        auto const* const codes = bam_get_seq(alignment_);
        bool const reverse = (alignment_->core.flag & BAM_FREVERSE) != 0;
        auto const letters = reverse ? kComplement : kForward;
        index_t const step = reverse ? -1 : 1;
        index_t position = reverse ? alignment_->core.l_qseq - 1 - offset_ : offset_;
        symbols.resize(static_cast<std::size_t>(count));
        for (char& symbol : symbols) {
            symbol = letters[bam_seqi(codes, static_cast<std::size_t>(position))];
            position += step;
        }
        if (symbols.find('=') != std::string::npos) {
            throw Error(ErrorCode::unsupported, name_ + ": " + where() +
                                                    " gives bases as '=' (equal to the reference); write them out "
                                                    "with `samtools calmd` without -e");
        }
    }

    std::string mate_number() const {
        auto const flag = alignment_->core.flag;
        if ((flag & BAM_FPAIRED) == 0) { return {}; }
        auto const number = flag & (BAM_FREAD1 | BAM_FREAD2);
        return number == BAM_FREAD1 ? "1" : number == BAM_FREAD2 ? "2" : "";
    }

    bool is_cram() const noexcept { return file_->format.format == cram; }

    void set_up_cram(SequenceReaderOptions const& options) {
        forget_reference_places(cram_fd_get_header(file_->fp.cram));
        hts_set_opt(file_.get(), CRAM_OPT_REQUIRED_FIELDS, SAM_QNAME | SAM_FLAG | SAM_SEQ);
        if (options.reference.empty()) { return; }
        reference_ = options.reference.string();
        if (!std::filesystem::is_regular_file(options.reference)) {
            throw Error(ErrorCode::not_found, reference_ + ": is no file, so it cannot be the reference for " + name_);
        }
        auto const absolute = std::filesystem::absolute(options.reference).string(); // never taken for a URL
        if (hts_set_opt(file_.get(), CRAM_OPT_REFERENCE, absolute.c_str()) != 0) {
            throw Error(ErrorCode::io, reference_ +
                                           ": cannot be used as reference; it must be FASTA, plain or "
                                           "compressed by bgzip, in a folder where its index (" +
                                           reference_ + ".fai) lies or can be written");
        }
    }

    /// A pipe cannot be asked for its end marker in advance: htslib notes at the end whether it came.
    void check_end_marker() const {
        if (is_cram()) {
            constexpr int kEndWithoutMarker = 2;
            if (cram_eof(file_->fp.cram) == kEndWithoutMarker) { throw truncated("ends without its end marker"); }
        } else if (file_->is_bgzf && file_->fp.bgzf->no_eof_block) {
            throw truncated("ends without its end marker");
        }
    }

    Error broken(int outcome) const {
        if (is_cram()) {
            return malformed(where() + " cannot be decoded: the file is damaged or cut short, or " +
                             (reference_.empty() ? "needs a reference; name its FASTA with --reference"
                                                 : reference_ + " is not the reference it was written with"));
        }
        bool const cut_block = file_->is_bgzf && (file_->fp.bgzf->errcode & BGZF_ERR_IO) != 0;
        bool const cut_record = file_->format.format == bam && (outcome == -2 || outcome == -3);
        if (cut_block || cut_record) { return truncated("ends inside " + where()); }
        bool const no_places = file_->format.format == sam && sam_hdr_nref(header_.get()) == 0;
        return malformed(where() + " is malformed" +
                         (no_places ? " (a mapped read needs @SQ lines in the header)" : ""));
    }

    Error malformed(std::string const& reason) const { return {ErrorCode::malformed_input, name_ + ": " + reason}; }
    Error truncated(std::string const& reason) const {
        return {ErrorCode::truncated_input, name_ + ": " + reason + ", so it is cut short; copy or download it again"};
    }

    /// The record being read, counted over all of the file, and its line in SAM.
    std::string where() const {
        auto text = "record " + std::to_string(record_ + 1 + skipped_ + (in_record_ ? 0 : 1));
        if (file_->format.format == sam) { text += " (line " + std::to_string(file_->lineno) + ")"; }
        return text;
    }

    std::string name_;
    std::string reference_;
    bool keep_secondary_;
    std::unique_ptr<htsFile, CloseAlignments> file_;
    std::unique_ptr<sam_hdr_t, DestroyHeader> header_;
    std::unique_ptr<bam1_t, DestroyAlignment> alignment_;
    index_t record_ = -1;
    index_t skipped_ = 0;
    index_t offset_ = 0; ///< bases of the current record given so far
    bool in_record_ = false;
};

} // namespace

std::unique_ptr<SequenceReader> open_alignments(FileBytes file, std::string name,
                                                SequenceReaderOptions const& options) {
    return std::make_unique<AlignmentReader>(std::move(file), std::move(name), options);
}

} // namespace strandwave
