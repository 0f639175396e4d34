#pragma once

#include "formats/file_bytes.h"
#include "formats/sequence_reader.h"

#include <string>

namespace strandwave {

/// The reads of SAM, BAM or CRAM, by htslib. Takes the file from its first byte; `name` is what messages call it.
/// - Mapped and unmapped reads in file order. Secondary (0x100) and supplementary (0x800) records are skipped and
///   counted, unless options.keep_secondary.
/// - A read stored reverse (0x10) is given reverse-complemented: as the instrument read it. Bases that hard clipping
///   removed are not in the file and not given.
/// - The name is the file's; the description of a paired read is its number, "1" or "2". A read without sequence ("*")
///   is a record of length 0. Letters come upper case; htslib gives
///   those that it does not know as N. A base given as '=' (equal to the
///   reference) is unsupported.
/// - With options.trim_quality the 3' end, as the instrument read it, is cut as quality_trim.h says; a read may become
///   one of length 0. A read without qualities is not cut.
/// - A BAM, BGZF SAM or CRAM without its end marker is truncated_input, at open where the file can be asked and at the
///   end of a pipe. A plain SAM cut between lines, or behind the quality of its last line, cannot be told.
/// - CRAM: the bases come from the file itself and from options.reference or, without that, the local folders of
///   REF_PATH, never from the network nor from places that the file names; see cram_reference_search.h. htslib 1.16
///   checks the checksums of compressed blocks only: damage in a header block that is stored plain can go unseen.
/// A read lies in memory whole (htslib's bound is 2^31 bytes); the file does not.
/// Throws truncated_input, malformed_input, not_found, io (the reference).
std::unique_ptr<SequenceReader> open_alignments(FileBytes file, std::string name, SequenceReaderOptions const& options);

} // namespace strandwave
