#include "formats/header_line.h"

#include "formats/sequence_letters.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

namespace strandwave {
namespace {

constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;

bool is_blank(char byte) { return byte == ' ' || byte == '\t'; }

std::string_view without_leading_blanks(std::string_view text) {
    auto const* const word = std::find_if_not(text.begin(), text.end(), is_blank);
    return text.substr(static_cast<std::size_t>(word - text.begin()));
}

} // namespace

HeaderWords split_header(std::string_view text) noexcept {
    auto const line = without_leading_blanks(text);
    auto const word = line.substr(0, line.find(' '));
    auto const name = word.substr(0, word.find('\t'));
    return {name, without_leading_blanks(line.substr(name.size()))};
}

HeaderLine read_header_line(TextCursor& text) {
    auto const start = text.position();
    text.skip_byte();
    HeaderLine header;
    auto const end = text.next_line(header.text, kMaxHeaderBytes);
    if (end == TextCursor::LineEnd::end_of_text) {
        throw text.error_at(start, ErrorCode::truncated_input, "the file ends inside this header line");
    }
    if (auto const good = count_header_bytes(header.text); good < header.text.size()) {
        throw text.error_at(start, ErrorCode::malformed_input, printable(header.text[good]) + " in this header line");
    }
    auto const words = split_header(header.text);
    header.name = words.name;
    header.description = words.description;
    return header;
}

void begin_chunk(SequenceChunk& chunk, HeaderWords const& header, index_t record, index_t offset) {
    chunk.record = record;
    chunk.name = header.name;
    chunk.description = header.description;
    chunk.offset = offset;
    chunk.start = 0;
    chunk.first = offset == 0;
    chunk.last = false;
    chunk.symbols.clear();
}

std::string printable(char byte) {
    if (byte > ' ' && byte <= '~') { return std::string("'") + byte + "'"; }
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "byte 0x%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    return text.data();
}

} // namespace strandwave
