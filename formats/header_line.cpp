#include "formats/header_line.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace strandwave {
namespace {

constexpr std::size_t kMaxHeaderBytes = std::size_t{1} << 20;
constexpr std::string_view kBlanks = " \t";

bool is_control(char byte) { return (byte >= 0 && byte < ' ' && byte != '\t') || byte == 0x7f; }

std::string_view without_leading_blanks(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    return text;
}

} // namespace

HeaderLine read_header_line(TextCursor& text) {
    auto const start = text.position();
    text.skip_byte();
    HeaderLine header;
    auto const end = text.next_line(header.text, kMaxHeaderBytes);
    if (end == TextCursor::LineEnd::end_of_text) {
        throw text.error_at(start, ErrorCode::truncated_input, "the file ends inside this header line");
    }
    auto const control = std::find_if(header.text.begin(), header.text.end(), is_control);
    if (control != header.text.end()) {
        throw text.error_at(start, ErrorCode::malformed_input, printable(*control) + " in this header line");
    }
    auto const line = without_leading_blanks(header.text);
    header.name = line.substr(0, line.find_first_of(kBlanks));
    header.description = without_leading_blanks(line.substr(header.name.size()));
    return header;
}

void begin_chunk(SequenceChunk& chunk, HeaderLine const& header, index_t record, index_t offset) {
    chunk = {.record = record,
             .name = header.name,
             .description = header.description,
             .offset = offset,
             .first = offset == 0,
             .symbols = std::move(chunk.symbols)};
    chunk.symbols.clear();
}

std::string printable(char byte) {
    if (byte > ' ' && byte <= '~') { return std::string("'") + byte + "'"; }
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "byte 0x%02x", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    return text.data();
}

} // namespace strandwave
