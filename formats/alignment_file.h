#pragma once

#include "formats/file_bytes.h"
#include "formats/sequence_reader.h"

#include <memory>
#include <string>

struct bam1_t;
struct htsFile;
struct sam_hdr_t;

namespace strandwave {

/// The alignments of SAM, BAM or CRAM in file order, as htslib's own records. What is said of errors, of the end marker
/// and of a CRAM's reference in alignment_reader.h is done here.
class AlignmentFile {
public:
    /// Takes the file from its first byte; `name` is what messages call it. `cram_fields` is what a CRAM decodes, an
    /// or of htslib's SAM_QNAME...; 0 is everything. Throws truncated_input, malformed_input, not_found, io.
    AlignmentFile(FileBytes bytes, std::string name, SequenceReaderOptions const& options, int cram_fields = 0);

    /// Goes to the next alignment; false at the end. Throws truncated_input, malformed_input.
    bool next();

    bam1_t* current() const noexcept { return alignment_.get(); } ///< may be changed, until the next call of next()

    /// A reader gives the current alignment: it is primary, or options.keep_secondary.
    bool is_given() const noexcept;

    /// As the file has it.
    sam_hdr_t* header() const noexcept { return whole_header_ ? whole_header_.get() : header_.get(); }

    std::string const& name() const noexcept { return name_; }

    /// The current alignment, for messages: "record 5", counted over all of the file, with its line in SAM.
    std::string where() const;

private:
    struct CloseFile {
        void operator()(htsFile* file) const noexcept;
    };
    struct DestroyHeader {
        void operator()(sam_hdr_t* header) const noexcept;
    };
    struct DestroyAlignment {
        void operator()(bam1_t* alignment) const noexcept;
    };

    bool is_cram() const noexcept;
    void set_up_cram(SequenceReaderOptions const& options, int fields);
    void check_end_marker() const;
    Error broken(int outcome) const;
    Error malformed(std::string const& reason) const;
    Error truncated(std::string const& reason) const;

    std::string name_;
    std::string reference_;
    bool keep_secondary_;
    std::unique_ptr<htsFile, CloseFile> file_;
    std::unique_ptr<sam_hdr_t, DestroyHeader> header_;
    std::unique_ptr<sam_hdr_t, DestroyHeader> whole_header_; ///< set where header_ had to forget something
    std::unique_ptr<bam1_t, DestroyAlignment> alignment_;
    index_t count_ = 0; ///< alignments begun so far
};

} // namespace strandwave
