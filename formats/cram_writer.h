#pragma once

#include <filesystem>

namespace strandwave {

/// Writes a CRAM 3.0 of the alignments of a whole BAM, there whole or not at all. Bases are written as differences to
/// `reference` (FASTA), if that has every sequence of the header at its length; otherwise, and without one, as they
/// are. With a reference, htslib adds its place (UR) and, where missing, checksums (M5) to the @SQ lines. References
/// are looked for nowhere else. Every tag is stored at its place (where htslib would leave out MD and NM, and make them
/// anew behind the others; who reads the file may get them so for alignments that had none). The same bytes for any
/// `threads`, as these only read: with more than one that compresses, htslib's choice of codecs depends on which is
/// first. Throws io, not_found (BAM or reference), truncated_input, malformed_input.
void write_cram(std::filesystem::path const& bam, std::filesystem::path const& cram,
                std::filesystem::path const& reference, int threads);

} // namespace strandwave
