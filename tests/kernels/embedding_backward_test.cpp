#include "kernels/embedding/embedding_backward.h"

#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_backward_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gradients.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

constexpr std::int32_t kVocabulary = 11;

std::vector<std::int32_t> draw_tokens(index_t count, std::int32_t vocabulary) {
    Random random(5);
    std::vector<std::int32_t> tokens;
    for (index_t t = 0; t < count; ++t) {
        tokens.push_back(static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocabulary))));
    }
    return tokens;
}

void expect_right(index_t rows, index_t d) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(d));
    Random random(7);
    GuardedMatrix dy(rows, d, 3);
    GuardedMatrix dtable(kVocabulary, d, 2);
    dy.fill([&] { return random.normal(); });
    dtable.fill([&] { return random.normal(); });
    auto const tokens = draw_tokens(rows, kVocabulary - 1); // the last one does not occur
    auto exact = embedding_backward_reference<double>(tokens, dy.view(), kVocabulary);
    auto plain = embedding_backward_reference<float>(tokens, dy.view(), kVocabulary);
    for (index_t i = 0; i < kVocabulary * d; ++i) {
        float const before = dtable.view()(i / d, i % d);
        exact[static_cast<std::size_t>(i)] += static_cast<double>(before);
        plain[static_cast<std::size_t>(i)] += before;
    }
    float const before = dtable.view()(kVocabulary - 1, 0);
    embedding_backward(tokens, dy.view(), dtable.view());
    testing::expect_within_twice(dtable.view(), exact.data(), plain.data());
    EXPECT_EQ(dtable.view()(kVocabulary - 1, 0), before);
    dtable.expect_guards("dtable");
}

TEST(EmbeddingBackward, IsWithinTwiceTheErrorOfAPlainLoop) {
    for (index_t const rows : {0, 1, 2, 17, 300}) {
        for (index_t const d : {1, 7, 8, 33}) {
            expect_right(rows, d);
        }
    }
}

TEST(EmbeddingBackward, ReferenceIsTheSlopeOfTheForwardPass) {
    constexpr index_t kRows = 9;
    GuardedMatrix dy(kRows, 2);
    GuardedMatrix table(4, 2);
    GuardedMatrix y(kRows, 2);
    Random random(3);
    dy.fill([&] { return testing::on_grid(random.normal()); });
    table.fill([&] { return testing::on_grid(random.normal()); });
    auto const tokens = draw_tokens(kRows, 3);
    auto const gradient = embedding_backward_reference<double>(tokens, dy.view(), 4);
    auto const loss = [&] {
        embedding(table.view(), tokens, y.view());
        double sum = 0;
        for (index_t i = 0; i < kRows * 2; ++i) {
            sum += static_cast<double>(dy.data()[i]) * static_cast<double>(y.data()[i]);
        }
        return sum;
    };
    for (index_t i = 0; i < 8; ++i) {
        auto const slope = testing::slope_of(loss, table.data()[i]);
        EXPECT_NEAR(gradient[static_cast<std::size_t>(i)], slope.value, slope.uncertainty);
    }
}

TEST(EmbeddingBackward, RefusesShapesAndIdsBeforeItWrites) {
    GuardedMatrix dy(3, 4);
    GuardedMatrix dtable(kVocabulary, 4);
    dy.fill([] { return 1.0; });
    dtable.fill([] { return 0.0; });
    std::vector<std::int32_t> tokens{1, 2};
    EXPECT_THROW(embedding_backward(tokens, dy.view(), dtable.view()), Error);
    for (std::int32_t const wrong : {-1, kVocabulary}) {
        tokens = {1, 2, wrong};
        EXPECT_THROW(embedding_backward(tokens, dy.view(), dtable.view()), Error);
        EXPECT_EQ(dtable.view()(1, 0), 0.0F);
    }
    GuardedMatrix narrow(kVocabulary, 3);
    tokens = {1, 2, 3};
    EXPECT_THROW(embedding_backward(tokens, dy.view(), narrow.view()), Error);
}

} // namespace
} // namespace strandwave
