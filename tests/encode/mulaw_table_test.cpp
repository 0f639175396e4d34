#include "lib/encode/mulaw_table.h"

#include "lib/encode/audio_encoder.h"

#include <gtest/gtest.h>

namespace strandwave {
namespace {

void expect_same(float sample) {
    ASSERT_EQ(MulawTable::instance().token(sample), mulaw_token(sample)) << std::hexfloat << sample;
}

// Every float was compared once, outside the tests; here are enough to see a wrong entry or a step that is off by one.
TEST(MulawTable, IsTheFormula) {
    constexpr std::uint32_t kPrime = 7919;
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += kPrime) {
        expect_same(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
    }
    for (std::uint32_t upper = 0; upper < 1U << 16; ++upper) {
        expect_same(std::bit_cast<float>(upper << 16));
        expect_same(std::bit_cast<float>(upper << 16 | 0xffff));
    }
}

TEST(MulawTable, IsTheFormulaOnBothSidesOfEveryStep) {
    for (std::uint32_t const sign : {0U, 1U << 31}) {
        auto const token = [sign](std::uint32_t magnitude) {
            return mulaw_token(std::bit_cast<float>(sign | magnitude));
        };
        constexpr std::uint32_t kOne = 0x3f800000;
        int steps = 0;
        for (std::uint32_t low = 0; token(low) != token(kOne); ++steps) {
            std::uint32_t high = kOne; // token(low) is not that of high; to the first float behind low's
            auto const first = token(low);
            while (low + 1 < high) {
                auto const middle = low + (high - low) / 2;
                (token(middle) == first ? low : high) = middle;
            }
            expect_same(std::bit_cast<float>(sign | low));
            expect_same(std::bit_cast<float>(sign | high));
            low = high;
        }
        EXPECT_GE(steps, 127);
    }
}

} // namespace
} // namespace strandwave
