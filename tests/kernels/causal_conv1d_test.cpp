#include "kernels/causal_conv1d/causal_conv1d.h"

#include "kernels/causal_conv1d/causal_conv1d_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;
using testing::on_every_simd_target;

struct Problem {
    Problem(index_t rows_, index_t channels_, index_t taps_)
        : rows(rows_), channels(channels_), taps(taps_), x(rows, channels, channels), weight(taps, channels),
          bias(1, channels), y(rows, channels, 1) {
        Random random(11);
        for (auto* matrix : {&x, &weight, &bias}) {
            matrix->fill([&] { return random.normal(); });
        }
    }

    CausalConv1dArgs args(std::span<ConvSegment const> segments, bool reverse = false) {
        return {.x = x.view(),
                .weight = weight.view(),
                .bias = bias.vector(),
                .segments = segments,
                .reverse = reverse,
                .y = y.view()};
    }

    index_t rows, channels, taps;
    GuardedMatrix x, weight, bias, y;
};

void expect_right(index_t rows, index_t channels, index_t taps, bool reverse) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(channels) + ", " + std::to_string(taps) + " taps");
    Problem p(rows, channels, taps);
    GuardedMatrix initial(taps - 1, channels);
    Random random(3);
    initial.fill([&] { return random.normal(); });
    std::vector<ConvSegment> const segments{{0, rows, taps > 1 ? initial.data() : nullptr, nullptr}};
    auto const args = p.args(segments, reverse);
    auto const exact = causal_conv1d_reference<double>(args);
    auto const plain = causal_conv1d_reference<float>(args);
    causal_conv1d(args);
    testing::expect_within_twice(p.y.view(), exact.data(), plain.data());
    p.y.expect_guards("y");
}

TEST(CausalConv1d, IsWithinTwiceTheErrorOfAPlainLoop) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            for (index_t const taps : {1, 2, 3, 4, 5, 9}) {
                expect_right(33, 21, taps, reverse);
            }
            for (index_t const rows : {1, 2, 3, 4, 101}) {
                expect_right(rows, 21, 4, reverse);
            }
            for (index_t const channels : {1, 8, 16, 31, 64}) {
                expect_right(20, channels, 4, reverse);
            }
        }
    });
}

TEST(CausalConv1d, PiecesOfAnyLengthGiveTheBitsOfOneCall) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            Problem p(50, 19, 4);
            std::vector<ConvSegment> const whole{{0, 50}};
            causal_conv1d(p.args(whole, reverse));
            std::vector<float> expected;
            for (index_t t = 0; t < 50; ++t) {
                expected.insert(expected.end(), p.y.view().row(t), p.y.view().row(t) + 19);
            }
            for (index_t const piece : {1, 2, 3, 4, 7, 49}) { // shorter than the history too
                p.y.poison_again();
                std::vector<float> state(3 * 19, 0.0F);
                for (index_t done = 0; done < 50; done += piece) {
                    index_t const length = std::min<index_t>(piece, 50 - done);
                    std::vector<ConvSegment> const part{
                        {reverse ? 50 - done - length : done, length, state.data(), state.data()}};
                    causal_conv1d(p.args(part, reverse));
                }
                for (index_t t = 0; t < 50; ++t) {
                    ASSERT_EQ(std::memcmp(p.y.view().row(t), expected.data() + t * 19, 19 * sizeof(float)), 0)
                        << "pieces of " << piece << ", row " << t;
                }
            }
        }
    });
}

TEST(CausalConv1d, RecordsDoNotSeeEachOther) {
    Problem p(30, 16, 4);
    std::vector<ConvSegment> const segments{{0, 10}, {10, 20}};
    causal_conv1d(p.args(segments));
    float const before = p.y.view()(10, 3);
    p.x.view()(9, 3) += 100.0F;
    causal_conv1d(p.args(segments));
    EXPECT_EQ(p.y.view()(10, 3), before);
}

TEST(CausalConv1d, RefusesShapesThatDisagree) {
    Problem p(10, 4, 4);
    std::vector<ConvSegment> const outside{{5, 6}};
    EXPECT_THROW(causal_conv1d(p.args(outside)), Error);
    Problem wide(10, 4, kMaxConv + 1);
    EXPECT_THROW(causal_conv1d(wide.args({})), Error);
}

} // namespace
} // namespace strandwave
