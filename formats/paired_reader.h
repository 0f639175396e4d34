#pragma once

#include "formats/sequence_reader.h"

#include <memory>
#include <string>

namespace strandwave {

/// The mates of read pairs, one behind the other: record 0 of the first file, record 0 of the second, record 1 of the
/// first, and so on. `first_name` and `second_name` are what messages call the files.
/// - SequenceChunk::record is the number of the pair. The name is given without an ending "/1" or "/2", and mates must
///   then have the same; Casava 1.8 names ("name 1:N:0:ACGT") are equal as they are.
/// - malformed_input where the names of mates differ, or where both say by "/1" or "1:N:" that they are the same mate:
///   one file was given twice.
/// - truncated_input where one file ends before the other. The record without a mate may have been given by then.
/// - Errors of the two readers come as they are. skipped_records() is the sum of theirs.
std::unique_ptr<SequenceReader> pair_readers(std::unique_ptr<SequenceReader> first,
                                             std::unique_ptr<SequenceReader> second, std::string first_name,
                                             std::string second_name);

/// The same for one file in which records 2i and 2i + 1 are mates; an odd number of records is truncated_input.
std::unique_ptr<SequenceReader> check_interleaved(std::unique_ptr<SequenceReader> reader, std::string name);

} // namespace strandwave
