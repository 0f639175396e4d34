#include "pipelines/extent.h"

#include "lib/core/error.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

TEST(Extent, ReadsSymbolsAndSeconds) {
    EXPECT_EQ(Extent::parse("4096").symbols(0), 4096);
    EXPECT_EQ(Extent::parse("4096").symbols(8000), 4096);
    EXPECT_EQ(Extent::parse("2.5s").symbols(8000), 20000);
    EXPECT_EQ(Extent::parse("0.00001s").symbols(8000), 1) << "one sample at least";
}

TEST(Extent, RefusesWhatIsNoLength) {
    for (auto const* text : {"", "s", "0", "-5", "1.5", "12x", "0s", "nan", "infs", "1e300", "4096 "}) {
        EXPECT_THROW(Extent::parse(text), Error) << text;
    }
    EXPECT_THROW(Extent::parse("2s").symbols(0), Error) << "DNA has no seconds";
}

} // namespace
} // namespace strandwave
