#include "formats/fastq_record.h"

#include "formats/sequence_letters.h"

namespace strandwave {
namespace {

bool is_at(std::string_view text, std::size_t position, char byte) {
    return position < text.size() && text[position] == byte;
}

} // namespace

// A line ends at its first byte that cannot stand in it: looking for the end and checking are one.
bool find_usual_fastq_record(std::string_view text, FastqRecord& record) noexcept {
    if (!is_at(text, 0, '@')) { return false; }
    auto const header = text.substr(1);
    record.header = header.substr(0, count_header_bytes(header));
    auto const header_end = 1 + record.header.size();
    if (!is_at(text, header_end, '\n')) { return false; }

    auto const letters = text.substr(header_end + 1);
    record.letters = letters.substr(0, count_sequence_letters(letters));
    auto const letters_end = header_end + 1 + record.letters.size();
    if (record.letters.empty() || !is_at(text, letters_end, '\n') || !is_at(text, letters_end + 1, '+')) {
        return false;
    }

    auto plus_end = letters_end + 2;
    if (!is_at(text, plus_end, '\n') && text.substr(plus_end).starts_with(record.header)) {
        plus_end += record.header.size();
    }
    if (!is_at(text, plus_end, '\n')) { return false; }

    auto const qualities = text.substr(plus_end + 1);
    record.qualities = qualities.substr(0, count_qualities(qualities));
    record.bytes = plus_end + 1 + record.qualities.size() + 1;
    return record.qualities.size() == record.letters.size() && is_at(text, record.bytes - 1, '\n') &&
           is_at(text, record.bytes, '@');
}

} // namespace strandwave
