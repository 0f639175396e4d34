#pragma once

#include "formats/alignment_file.h"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct BGZF;

namespace strandwave {

struct AlignmentTaggerOptions {
    SequenceReaderOptions reading; ///< as for the reader whose records were classified
    int threads = 0;               ///< that many more to compress
    std::string version;           ///< VN of our @PG line
    std::string command;           ///< CL of it; the same in every process that adds to the file
};

/// A second read of SAM, BAM or CRAM, beside the reader whose records were classified: copies all alignments, in their
/// order, into a BAM file that grows in blocks (as BlockFile), and tags those that got a label.
///
/// Tags (the SAM specification leaves names with a lower-case letter to users): `xl:Z:<label>`, and `xp:f:` the label's
/// probability. They stand behind the other tags; xl and xp that were there before are gone, from untagged alignments
/// too. Everything else is copied as htslib has read it, and the header gets an @PG line of the program `strandwave`
/// behind the last of each chain of programs.
///
/// Ordinals count the records that alignment_reader.h gives with the same options. An alignment that it does not give
/// belongs to the block of the record behind it. The bytes of a block depend on its alignments alone, not on threads
/// nor on the process that wrote those before. Not thread-safe. All calls throw io for the output, malformed_input
/// for an input that is not what the first read saw, and for damage what the reader throws; after an error only
/// commit() is left to call.
class AlignmentTagger {
public:
    /// Makes `<path>.part` with the header, or goes on behind the first `keep_bytes` of one that is there: what a
    /// bytes() or end_block() of an earlier process returned. Throws also not_found (the input, or the part is shorter
    /// than that), unsupported (an input that can be read only once).
    AlignmentTagger(std::filesystem::path const& input, std::filesystem::path path, index_t keep_bytes,
                    AlignmentTaggerOptions const& options);
    ~AlignmentTagger(); ///< what was written behind the last end_block may be lost
    AlignmentTagger(AlignmentTagger const&) = delete;
    AlignmentTagger& operator=(AlignmentTagger const&) = delete;

    /// The size of the part at the last end_block; at first that of its header, or keep_bytes.
    index_t bytes() const noexcept { return bytes_; }

    /// Passes over all alignments through record `first_ordinal` - 1. Only forward: invalid_argument.
    void begin_block(index_t first_ordinal);

    /// Copies all alignments through record `ordinal`, which gets the tags. malformed_input if its name is not `name`.
    /// Throws invalid_argument for a label that is not is_tag_text.
    void tag(index_t ordinal, std::string_view name, std::string_view label, double probability);

    /// Copies the others of the block, through record `end_ordinal` - 1. All is in the file then; returns bytes().
    index_t end_block(index_t end_ordinal);

    /// Copies what stands behind the last record too, and returns bytes(); malformed_input if that is a record. Belongs
    /// to the last block: follows its end_block, or stands alone where there are no records.
    index_t copy_rest();

    /// Writes the end marker. `<path><suffix>` appears, replacing a file of that name.
    void commit(std::string_view suffix = "");

private:
    struct Close {
        void operator()(BGZF* file) const noexcept;
    };

    bool next_record(bool copy);
    void copy_through(index_t ordinal);
    void write_header(AlignmentTaggerOptions const& options);
    void remove_old_tags();
    void write_alignment();
    void flush();
    [[noreturn]] void write_failed() const;

    AlignmentFile input_;
    std::filesystem::path path_;
    std::unique_ptr<BGZF, Close> output_;
    int descriptor_ = -1; ///< belongs to output_
    index_t kept_bytes_;
    index_t bytes_ = 0;
    index_t next_ = 0; ///< ordinal of the next record of the input
};

/// A tag can hold it: printable ASCII (SAM specification, section 1.5, type Z).
bool is_tag_text(std::string_view text) noexcept;

} // namespace strandwave
