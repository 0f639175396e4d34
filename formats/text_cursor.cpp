#include "formats/text_cursor.h"

#include <algorithm>
#include <cstring>

namespace strandwave {

TextCursor::TextCursor(BgzfSource source) : source_(std::move(source)) {}

/// Reads on behind the byte that may be left; false at the end of the text.
bool TextCursor::refill() {
    auto const kept = end_ - begin_;
    if (kept > 0) { *kept_byte_ = *begin_; }
    auto const text = source_.next();
    auto* const begin = text.empty() ? kept_byte_.get() : text.data() - kept;
    if (kept > 0) { *begin = *kept_byte_; }
    begin_ = begin;
    end_ = begin + kept + text.size();
    return !text.empty();
}

void TextCursor::advance(char const* to) noexcept {
    position_.offset += to - begin_;
    begin_ = to;
}

bool TextCursor::at_end() { return begin_ == end_ && !refill(); }

TextCursor::Piece TextCursor::next_piece(std::size_t limit) {
    if (at_end()) { return {{}, LineEnd::end_of_text}; }
    auto const available = static_cast<std::size_t>(end_ - begin_);
    auto const take = std::min(limit, available);
    auto const seen = take < available ? take + 1 : take; // the newline right behind the piece is passed with it
    if (auto const* newline = static_cast<char const*>(std::memchr(begin_, '\n', seen))) {
        std::string_view text(begin_, static_cast<std::size_t>(newline - begin_));
        if (!text.empty() && text.back() == '\r') { text.remove_suffix(1); }
        advance(newline + 1);
        ++position_.line;
        line_start_ = true;
        return {text, LineEnd::newline};
    }
    std::string_view text(begin_, take);
    // A carriage return waits until it is known whether a newline follows.
    if (text.back() == '\r') { text.remove_suffix(1); }
    if (text.empty()) {
        if (auto const end = pass_line_end(); end != LineEnd::none) { return {{}, end}; }
        text = {begin_, 1}; // alone it is part of the line
    }
    advance(begin_ + text.size());
    line_start_ = false;
    return {text, LineEnd::none};
}

/// Passes "\n", "\r\n", or a "\r" that ends the text, if that is next; not at the end of the text.
TextCursor::LineEnd TextCursor::pass_line_end() {
    bool const carriage_return = peek() == '\r';
    if (carriage_return && end_ - begin_ < 2) { refill(); }
    bool const last = carriage_return && end_ - begin_ == 1;
    bool const newline = !last && begin_[carriage_return ? 1 : 0] == '\n';
    if (!last && !newline) { return LineEnd::none; }
    advance(begin_ + (carriage_return && newline ? 2 : 1));
    position_.line += newline ? 1 : 0;
    line_start_ = newline;
    return newline ? LineEnd::newline : LineEnd::end_of_text;
}

TextCursor::LineEnd TextCursor::next_line(std::string& text, std::size_t limit) {
    text.clear();
    while (true) {
        auto const piece = next_piece(limit + 1);
        text.append(piece.text);
        if (text.size() > limit) {
            throw error(ErrorCode::malformed_input, "line is longer than " + std::to_string(limit) + " bytes");
        }
        if (piece.end != LineEnd::none) { return piece.end; }
    }
}

void TextCursor::pass_lines(std::size_t bytes, index_t lines) noexcept {
    advance(begin_ + bytes);
    position_.line += lines;
    line_start_ = true;
}

void TextCursor::skip_byte() noexcept {
    advance(begin_ + 1);
    line_start_ = false;
}

void TextCursor::skip_line_ends() {
    while (!at_end() && pass_line_end() != LineEnd::none) {}
}

void TextCursor::skip_white_space() {
    while (!at_end()) {
        if (peek() == ' ' || peek() == '\t') {
            skip_byte();
        } else if (pass_line_end() == LineEnd::none) {
            return;
        }
    }
}

Error TextCursor::error_at(Position position, ErrorCode code, std::string const& reason) const {
    return {code, name() + ": line " + std::to_string(position.line) + ", byte " + std::to_string(position.offset) +
                      ": " + reason};
}

} // namespace strandwave
