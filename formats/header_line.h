#pragma once

#include "formats/sequence_reader.h"
#include "formats/text_cursor.h"

#include <string>
#include <string_view>

namespace strandwave {

/// The first line of a FASTA or FASTQ record.
struct HeaderLine {
    std::string text;        ///< all of it, behind the '>' or '@'
    std::string name;        ///< its first word; blanks before that do not count
    std::string description; ///< the rest, without the blanks between
};

/// The words of a header line, as parts of it.
struct HeaderWords {
    std::string_view name, description; ///< as in HeaderLine
};
HeaderWords split_header(std::string_view text) noexcept;

/// Passes the marker byte and its line. Throws malformed_input past 1 MiB or at a control character, truncated_input
/// when the text ends in this line.
HeaderLine read_header_line(TextCursor& text);

/// Makes `chunk` the next one of the record behind `header`: no symbols yet, `offset` bases into the record. Keeps the
/// storage of its strings.
void begin_chunk(SequenceChunk& chunk, HeaderWords const& header, index_t record, index_t offset);
inline void begin_chunk(SequenceChunk& chunk, HeaderLine const& header, index_t record, index_t offset) {
    begin_chunk(chunk, HeaderWords{header.name, header.description}, record, offset);
}

/// A byte for a message: "'x'", or "byte 0x00" where it cannot be printed.
std::string printable(char byte);

} // namespace strandwave
