#include "formats/utf8.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

TEST(Utf8, ValidTextStaysAsItIs) {
    // First and last code point of each length, and both sides of the surrogates.
    std::string const text = "\x01\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80"
                             "\xf4\x8f\xbf\xbf";
    EXPECT_EQ(decode_utf8(text),
              (std::u32string{0x1, 0x7f, 0x80, 0x7ff, 0x800, 0xd7ff, 0xe000, 0xffff, 0x10000, 0x10ffff}));
    EXPECT_EQ(repair_utf8(text), text);
    EXPECT_EQ(repair_utf8(""), "");
}

TEST(Utf8, EachByteOfNoSequenceIsReplaced) {
    for (std::string const bad :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82",
          "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf0\x9f\x98", "\xf5\x80\x80\x80", "\xff"}) {
        auto const replaced = std::u32string(bad.size(), 0xfffd);
        EXPECT_EQ(decode_utf8("a" + bad + "b"), U"a" + replaced + U"b");
        EXPECT_EQ(decode_utf8(bad), replaced);
        EXPECT_EQ(decode_utf8(repair_utf8(bad)), replaced);
    }
}

TEST(Utf8, ASequenceThatBreaksOffDoesNotTakeWhatFollows) {
    EXPECT_EQ(decode_utf8("\xe2\x82\xc3\xa9"), (std::u32string{0xfffd, 0xfffd, 0xe9}));
}

} // namespace
} // namespace strandwave
