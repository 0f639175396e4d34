#pragma once

#include "formats/sequence_reader.h"
#include "formats/text_cursor.h"

namespace strandwave {

/// FASTA, streamed: the longest record needs no more memory than a chunk.
/// - A record is a '>' line and the lines up to the next. Its name is the first word behind '>', its description the
///   rest. '>' alone is a record without a name; a '>' line without sequence is a record of length 0; names may repeat.
/// - Sequence: letters, '*' and '-', case kept; blanks, tabs, empty lines and "\r\n" are passed over. Anything else
///   (NUL, digits, a '>' inside a line, ';' comments, text before the first '>') is malformed_input.
/// - A missing last newline is fine behind sequence. A file that ends inside a '>' line is truncated_input; a plain
/// file
///   cut inside or behind sequence cannot be told from a whole one (a compressed file can).
/// - Header lines over 1 MiB or with control characters are malformed_input.
/// - A text with nothing but white space has no records.
std::unique_ptr<SequenceReader> make_fasta_reader(TextCursor text);

} // namespace strandwave
