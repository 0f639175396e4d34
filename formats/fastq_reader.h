#pragma once

#include "formats/sequence_reader.h"
#include "formats/text_cursor.h"

namespace strandwave {

/// FASTQ (Cock et al. 2010), streamed: four lines a record, or sequence and quality wrapped over any number of lines.
/// - Sequence: letters, '*' and '-', case kept. Quality: '!' to '~', checked and not given; '@' and '+' may begin a
///   quality line. A chunk says `last` only when the record's quality is whole and as long as its sequence, so chunks
///   of a long read may come before the error that refuses it.
/// - The '+' line is empty behind the '+', or repeats the header or its name; anything else is malformed_input.
/// - A file that ends inside a record is truncated_input. A plain file cut between two records cannot be told from a
///   whole one (a compressed file can).
/// - "\r\n", empty lines between records, a missing last newline and records of length 0 are fine. A blank is not.
/// - Names and descriptions as in FASTA.
std::unique_ptr<SequenceReader> make_fastq_reader(TextCursor text);

} // namespace strandwave
