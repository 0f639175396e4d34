#pragma once

#include <cstddef>
#include <string_view>

namespace strandwave {

/// Bytes at the start of `text` that FASTA and FASTQ allow in a sequence: A-Z, a-z, '*' (stop, in protein files) and
/// '-' (gap, in alignments). All pass as they are; what a model makes of them is the encoder's policy.
std::size_t count_sequence_letters(std::string_view text) noexcept;

/// Bytes at the start of `text` that are FASTQ qualities, '!' to '~'.
std::size_t count_qualities(std::string_view text) noexcept;

/// Bytes at the start of `text` that a header line may have: all but control characters, of which only a tab is one.
std::size_t count_header_bytes(std::string_view text) noexcept;

} // namespace strandwave
