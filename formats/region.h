#pragma once

#include "lib/core/view.h"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace strandwave {

/// A stretch of one sequence of a FASTA file.
struct Region {
    static constexpr index_t kToEnd = -1;

    std::string sequence;    ///< name of the sequence
    index_t start = 0;       ///< 0-based
    index_t end = kToEnd;    ///< behind the last base, or kToEnd
    std::string description; ///< the name that a BED line gives it
    std::string text;        ///< as it was asked for, for messages: "chr1:5-9", "a.bed: line 7"
};

/// Reads `name`, `name:start-end`, `name:start` (to the end), `name:start-` or `name:-end`; 1-based, both ends
/// included, commas allowed in numbers, as samtools does. Throws invalid_argument: no name, start 0, start behind end.
Region parse_region(std::string_view text);

/// The region with `flank` (>= 0) more bases on both sides, as far as its sequence of `sequence_length` bases goes.
/// Its own end must be known and within the sequence.
Region widened(Region region, index_t flank, index_t sequence_length);

/// Reads the regions of a BED file ("-" is stdin): three or more columns, 0-based, half-open, parted by tabs or blanks;
/// the fourth is the description. Empty lines, comments (#), `track` and `browser` lines are passed over.
/// Throws malformed_input naming the line, and what open_file_bytes and TextCursor throw.
std::vector<Region> read_bed(std::filesystem::path const& path);

} // namespace strandwave
