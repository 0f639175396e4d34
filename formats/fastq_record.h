#pragma once

#include <cstddef>
#include <string_view>

namespace strandwave {

/// A FASTQ record as parts of a text.
struct FastqRecord {
    std::string_view header; ///< without the '@'
    std::string_view letters;
    std::string_view qualities;
    std::size_t bytes = 0; ///< of all four lines
};

/// Finds the record that `text` begins with, if it is of the usual kind: four whole lines, one or more letters and as
/// many qualities that fastq_reader.h allows, no control character, a '+' line that is empty or repeats the header, and
/// behind it the '@' of another record. False for everything else, be it odd, malformed, the last or not wholly in
/// `text`: that is for a reader that goes step by step.
bool find_usual_fastq_record(std::string_view text, FastqRecord& record) noexcept;

} // namespace strandwave
