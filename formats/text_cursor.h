#pragma once

#include "formats/bgzf_source.h"
#include "lib/core/error.h"

#include <memory>
#include <string>
#include <string_view>

namespace strandwave {

/// Walks over the lines of a text in bounded memory. "\n" and "\r\n" end a line, so does the end of the text; any other
/// "\r" is an ordinary byte. Everything here throws what BgzfSource::next throws.
class TextCursor {
public:
    enum class LineEnd : unsigned char { none, newline, end_of_text };

    /// A run of bytes of one line, valid until the next call. `end` tells whether the line ends with it.
    struct Piece {
        std::string_view text;
        LineEnd end = LineEnd::none;
    };

    /// A place in the text, for messages.
    struct Position {
        index_t line = 1;   ///< 1-based
        index_t offset = 0; ///< 0-based, in bytes of text (after decompression)
    };

    explicit TextCursor(BgzfSource source);

    bool at_end();                                              ///< no byte is left
    char peek() const noexcept { return *begin_; }              ///< the next byte; only when not at_end()
    bool at_line_start() const noexcept { return line_start_; } ///< the last thing passed was a line's end
    Position position() const noexcept { return position_; }    ///< of the next byte

    /// Passes and returns at most `limit` (>= 1) bytes of the current line. The line's end is passed with its last
    /// byte.
    Piece next_piece(std::size_t limit);

    /// Passes and returns the rest of the line in `text`; malformed_input past `limit` bytes.
    LineEnd next_line(std::string& text, std::size_t limit);

    /// The next bytes, as many as are at hand and not one more read; valid until the next call that is not const.
    std::string_view at_hand() const noexcept { return {begin_, static_cast<std::size_t>(end_ - begin_)}; }

    /// Passes `bytes` that are at hand, `lines` whole lines.
    void pass_lines(std::size_t bytes, index_t lines) noexcept;

    void skip_byte() noexcept; ///< passes the byte that peek() shows, which is no line's end
    void skip_line_ends();     ///< passes the end of this line, if that is next, and empty lines
    void skip_white_space();   ///< passes line ends, blanks and tabs

    std::string const& name() const noexcept { return source_.name(); }

    /// An error that names the input and a place: "a.fa: line 3, byte 17: reason".
    Error error_at(Position position, ErrorCode code, std::string const& reason) const;
    Error error(ErrorCode code, std::string const& reason) const { return error_at(position_, code, reason); }

private:
    bool refill();
    void advance(char const* to) noexcept;
    LineEnd pass_line_end();

    BgzfSource source_;
    std::unique_ptr<char> kept_byte_ = std::make_unique<char>();
    char const* begin_ = nullptr; ///< [begin_, end_), of the source's text or kept_byte_, is not yet passed
    char const* end_ = nullptr;
    Position position_;
    bool line_start_ = true;
};

} // namespace strandwave
