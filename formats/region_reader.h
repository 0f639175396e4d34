#pragma once

#include "formats/region.h"
#include "formats/sequence_reader.h"

#include <filesystem>
#include <memory>
#include <vector>

namespace strandwave {

/// Streams the regions as records, in the order given, each named `sequence:start-end` (1-based, both ends included),
/// by the index `<fasta>.fai`, which is built when missing. The FASTA is plain or compressed by bgzip. Every region is
/// checked before anything is read: invalid_argument for a start or end past the sequence, not_found for a name that
/// the index does not have. Then each is widened by `flank` bases on both sides, and less at the ends of its sequence;
/// its record has the name and the start of the widened region. Throws also not_found, io (the index cannot be
/// written), malformed_input (not FASTA, plain gzip). A FASTA that does not fit its index (or was cut) is
/// malformed_input when read.
std::unique_ptr<SequenceReader> open_regions(std::filesystem::path const& fasta, std::vector<Region> regions,
                                             index_t flank = 0);

} // namespace strandwave
