#pragma once

#include "lib/core/view.h"

#include <string>
#include <string_view>
#include <vector>

// Text and tables of an HTML page. What a file holds (names, messages) passes through page_text and nothing else.

namespace strandwave {

inline constexpr std::size_t kNameCharacters = 100;
inline constexpr std::size_t kMessageCharacters = 300;

/// Text that may stand in an element or a quoted attribute: `characters` at most, the last one an ellipsis where
/// something was cut away; what is not UTF-8 becomes U+FFFD, control characters `_`, and markup is escaped.
std::string page_text(std::string_view text, std::size_t characters = kNameCharacters);

/// A name that cannot turn the writing direction of what stands around it.
std::string page_name(std::string_view text, std::size_t characters = kNameCharacters);

// Numbers for readers; a dash for what is not finite.
std::string grouped(index_t value);                  ///< 12,345
std::string decimals(double value, int digits);      ///< as printf's %.*f
std::string percent(double share);                   ///< 12.3%
std::string percent(index_t part, index_t whole);    ///< a dash where the whole is 0
std::string spoken_seconds(double seconds);          ///< 1.25 s, 3 min 5 s, 2 h 4 min
std::string spoken_bytes(double bytes);              ///< 1.5 GiB
std::string counted(index_t value, char const* one); ///< 1 row, 2 rows

/// A table of cells that are HTML already.
class PageTable {
public:
    struct Column {
        std::string title;
        bool number = false; ///< flush right
    };
    PageTable(std::string const& caption, std::vector<Column> columns);
    void row(std::vector<std::string> const& cells); ///< the first cell is the row's heading
    std::string finish() const;                      ///< in a box that scrolls sideways

private:
    std::string caption_;
    std::vector<Column> columns_;
    std::string text_;
};

/// The numbers behind a picture, folded away.
std::string folded(std::string const& summary, std::string const& content);

} // namespace strandwave
