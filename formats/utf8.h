#pragma once

#include <string>
#include <string_view>

namespace strandwave {

/// The code points of a text. Each byte that is part of no valid UTF-8 sequence (Unicode 15, table 3-7: no overlong
/// forms, no surrogates) is U+FFFD.
std::u32string decode_utf8(std::string_view text);

/// The text with U+FFFD in the place of each such byte: valid UTF-8.
std::string repair_utf8(std::string_view text);

/// The text behind the byte order mark that Excel puts in front of a table; all of it where there is none.
std::string_view behind_byte_order_mark(std::string_view text);

} // namespace strandwave
