#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace strandwave {

/// A FASTQ record as parts of a text.
struct FastqRecord {
    std::string_view header; ///< without the '@'
    std::string_view letters;
    std::string_view qualities;
    std::size_t bytes = 0; ///< of all four lines
};

/// The record that `text` begins with, if it is of the usual kind: four whole lines, one or more letters and as many
/// qualities that fastq_reader.h allows, no control character, a '+' line that is empty or repeats the header, and
/// behind it the '@' of another record. Everything else, be it odd, malformed, the last or not wholly in `text`, is for
/// a reader that goes step by step.
std::optional<FastqRecord> find_usual_fastq_record(std::string_view text) noexcept;

} // namespace strandwave
