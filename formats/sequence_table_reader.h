#pragma once

#include "formats/sequence_reader.h"
#include "formats/text_cursor.h"

#include <string>

namespace strandwave {

/// A table of labelled sequences, one a line, as the GUE benchmark has them: CSV or TSV with the header line
/// "sequence,label" (or with a tab), and no other column.
/// - Row i, from 1, is the record `<stem>_<i>` with the description `label=<label>`; names are those of no file, so
///   they say which file and row. A row without sequence is a record of length 0.
/// - Sequence: letters, '*' and '-', case kept. Label: at least one character, none of them white space, a double
/// quote, the
///   separator or a control character. Nothing is quoted or escaped.
/// - "\r\n", empty lines and a missing last newline are fine. A row that the text ends in before its label is
///   truncated_input; a text cut inside a label or between rows cannot be told from a whole one (a compressed file
///   can). All else is malformed_input, naming line and byte.
/// - A line lies in memory, for its label stands last: lines over 16 MiB are malformed_input, FASTA takes them.
/// Throws where the header line is another.
std::unique_ptr<SequenceReader> make_sequence_table_reader(TextCursor text, std::string stem, char separator);

} // namespace strandwave
