#include "kernels/pooling/pooling.h"

#include "kernels/embedding/embedding.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

namespace strandwave {
namespace {

constexpr index_t kRows = 57;
constexpr index_t kWidth = 13;

std::vector<float> pool_in_pieces(Pooling pooling, View<float const, 2> x, index_t piece) {
    std::vector<double> state(kWidth, 1e30); // must not matter
    View<double, 1> const running{state.data(), kWidth};
    for (index_t done = 0; done < x.rows; done += piece) {
        pool_accumulate(pooling, x.rows_from(done, std::min(piece, x.rows - done)), done, running);
    }
    std::vector<float> pooled(kWidth);
    pool_finish(pooling, running, x.rows, {pooled.data(), kWidth});
    return pooled;
}

TEST(Pooling, IsWhatItsNameSaysForAnyPieces) {
    testing::GuardedMatrix x(kRows, kWidth, 4);
    Random random(9);
    x.fill([&] { return random.normal() - 3.0; });
    for (index_t const piece : {1, 2, 10, 56, 57}) {
        for (index_t c = 0; c < kWidth; ++c) {
            double sum = 0;
            float largest = x.view()(0, c);
            for (index_t t = 0; t < kRows; ++t) {
                sum += static_cast<double>(x.view()(t, c));
                largest = std::max(largest, x.view()(t, c));
            }
            auto const channel = static_cast<std::size_t>(c);
            EXPECT_EQ(pool_in_pieces(Pooling::mean, x.view(), piece)[channel], static_cast<float>(sum / kRows));
            EXPECT_EQ(pool_in_pieces(Pooling::max, x.view(), piece)[channel], largest);
            EXPECT_EQ(pool_in_pieces(Pooling::first, x.view(), piece)[channel], x.view()(0, c));
            EXPECT_EQ(pool_in_pieces(Pooling::last, x.view(), piece)[channel], x.view()(kRows - 1, c));
        }
    }
}

TEST(Pooling, NothingIsZeros) {
    std::vector<double> state(3, 5.0);
    std::vector<float> pooled(3, 1.0F);
    pool_finish(Pooling::max, {state.data(), 3}, 0, {pooled.data(), 3});
    EXPECT_EQ(pooled, std::vector<float>(3, 0.0F));
    EXPECT_THROW(pool_finish(Pooling::max, {state.data(), 2}, 0, {pooled.data(), 3}), Error);
}

TEST(Embedding, CopiesRowsAndNamesAStrangeToken) {
    testing::GuardedMatrix table(4, 3);
    Random random(1);
    table.fill([&] { return random.normal(); });
    testing::GuardedMatrix y(2, 3);
    std::vector<std::int32_t> const tokens{3, 0};
    embedding(table.view(), tokens, y.view());
    EXPECT_EQ(y.view()(0, 2), table.view()(3, 2));
    EXPECT_EQ(y.view()(1, 1), table.view()(0, 1));
    y.expect_guards("y");
    std::vector<std::int32_t> const strange{0, 4};
    try {
        embedding(table.view(), strange, y.view());
        FAIL() << "token 4 of 4 was taken";
    } catch (Error const& error) { EXPECT_NE(error.message().find("token 4 at position 1"), std::string::npos); }
}

} // namespace
} // namespace strandwave
