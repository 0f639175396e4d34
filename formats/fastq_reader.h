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
/// - With trim_quality > 0 the 3' end is cut as quality_trim.h says, qualities being Phred+33 ('!' is 0); a read may
///   become one of length 0. Its qualities decide how much of it is given, so a record lies in memory whole, once as
///   bases and once as qualities, and comes only when it is known to be good; one of more than 64 Mi bases is
///   too_large.
std::unique_ptr<SequenceReader> make_fastq_reader(TextCursor text, int trim_quality = 0);

} // namespace strandwave
