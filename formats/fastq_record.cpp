#include "formats/fastq_record.h"

#include "formats/sequence_letters.h"

namespace strandwave {

std::optional<FastqRecord> find_usual_fastq_record(std::string_view text) noexcept {
    if (text.empty() || text.front() != '@') { return std::nullopt; }
    auto const header_end = text.find('\n');
    if (header_end == std::string_view::npos) { return std::nullopt; }
    auto const letters_end = text.find('\n', header_end + 1);
    if (letters_end == std::string_view::npos) { return std::nullopt; }
    auto const plus_end = text.find('\n', letters_end + 1);
    if (plus_end == std::string_view::npos) { return std::nullopt; }
    FastqRecord record;
    record.header = text.substr(1, header_end - 1);
    record.letters = text.substr(header_end + 1, letters_end - header_end - 1);
    record.qualities = text.substr(plus_end + 1, record.letters.size());
    record.bytes = plus_end + 1 + record.letters.size() + 1;
    auto const plus = text.substr(letters_end + 1, plus_end - letters_end - 1);
    bool const in_place = !record.letters.empty() && record.bytes < text.size() && text[record.bytes - 1] == '\n' &&
                          text[record.bytes] == '@' && !plus.empty() && plus.front() == '+' &&
                          (plus.size() == 1 || plus.substr(1) == record.header);
    bool const good = in_place && count_header_bytes(record.header) == record.header.size() &&
                      count_sequence_letters(record.letters) == record.letters.size() &&
                      count_qualities(record.qualities) == record.qualities.size();
    return good ? std::optional(record) : std::nullopt;
}

} // namespace strandwave
