#pragma once

#include "formats/text_cursor.h"

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace strandwave {

/// A second read of a FASTA or FASTQ file (plain, gzip, BGZF), beside the reader whose records were classified: hands
/// out the text of single records as it stands in the file, to be copied somewhere. Ordinals count the records as
/// fasta_reader.h and fastq_reader.h give them. Bounded memory, however long a record. Not thread-safe.
///
/// The text of a FASTA record goes up to the next '>' line, empty lines included; that of a FASTQ record ends with its
/// last quality line, so that empty lines between records are nobody's. A missing last line end is added.
///
/// The letters are not checked again: what does not fit the first read is an error (malformed_input) only where a
/// record is gone or has another name, or where the text is no longer made of records (truncated_input too).
class FastxSplitter {
public:
    /// Takes a run of a record's text, at most 512 KiB, valid during the call.
    using Sink = std::function<void(std::string_view text)>;

    /// `format` is what open_input found: "fasta" or "fastq"; others are unsupported. `threads` as in BgzfSource.
    /// Throws not_found, io, truncated_input, malformed_input; unsupported for what can be read only once.
    FastxSplitter(std::filesystem::path const& path, std::string_view format, int threads = 0);

    /// Passes over the records up to `first_ordinal`, which is the next one then. Throws as copy().
    void begin_block(index_t first_ordinal);

    /// Hands out the text of that record, passing over those before it. Ordinals only go up (invalid_argument).
    /// Throws malformed_input if its name is not `name`, but for an ending "/1" or "/2": the file is not what it was.
    /// An empty `name` is not compared. Throws truncated_input.
    void copy(index_t ordinal, std::string_view name, Sink const& sink);

private:
    bool begin_record();
    void pass_record(index_t ordinal, std::string_view name, Sink const* sink);
    void pass_header(index_t ordinal, std::string_view name);
    void pass_fasta();
    void pass_fastq();
    index_t pass_sequence();
    void pass_quality(index_t length);
    TextCursor::Piece pass_piece(std::size_t limit);
    void put(std::string_view text);
    void hand_out();
    Error cut_in_record() const;

    bool fastq_;
    TextCursor text_;
    index_t next_ = 0;           ///< ordinal of the next record
    Sink const* sink_ = nullptr; ///< where the current record goes; null when it is passed over
    std::string pending_;        ///< text of the current record that the sink has not yet got
    char last_byte_ = '\n';      ///< put for it
};

} // namespace strandwave
