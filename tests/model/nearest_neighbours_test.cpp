#include "lib/model/nearest_neighbours.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

namespace strandwave {
namespace {

using Labels = std::vector<std::int32_t>;
using Rows = std::vector<index_t>;

Labels ask(std::vector<float> const& x, index_t width, Labels const& labels, Rows const& known, Rows const& asked,
           index_t neighbours) {
    return nearest_neighbours({x.data(), static_cast<index_t>(labels.size()), width}, labels, known, asked, neighbours);
}

/// Four known rows around their mean (4.5, 5.625), from which the angles are -23, 78, 194 and -66 degrees; one far row
/// is asked about at 11 degrees, one near the mean at -51.
TEST(NearestNeighbours, ItIsTheAngleThatCounts) {
    std::vector<float> const x = {6, 5, 5, 8, 2, 5, 5, 4.5F, 105, 25, 5.01F, 5.002F};
    Labels const labels = {0, 1, 2, 3, -1, -1};
    EXPECT_EQ(ask(x, 2, labels, {0, 1, 2, 3}, {4, 5}, 1), (Labels{0, 3}));
}

TEST(NearestNeighbours, MostVotesWinAndTiesGoToTheNearest) {
    // On a circle around (0, 0), which opposite rows make the mean, at degrees:
    std::vector<float> x;
    for (double const degree : {0.0, 20.0, 40.0, 180.0, 200.0, 220.0, 5.0}) {
        x.push_back(static_cast<float>(std::cos(degree * 0.017453292519943295)));
        x.push_back(static_cast<float>(std::sin(degree * 0.017453292519943295)));
    }
    Labels const labels = {3, 1, 1, 2, 2, 2, 0};
    Rows const known = {0, 1, 2, 3, 4, 5};
    EXPECT_EQ(ask(x, 2, labels, known, {6}, 1), Labels{3});
    EXPECT_EQ(ask(x, 2, labels, known, {6}, 2), Labels{3}) << "one vote each";
    EXPECT_EQ(ask(x, 2, labels, known, {6}, 3), Labels{1});
    EXPECT_EQ(ask(x, 2, labels, known, {6}, 99), Labels{2}) << "all rows vote";
}

/// Against the cosines of a plain loop in double, more rows than are asked at once, and a shared offset.
TEST(NearestNeighbours, AreThoseOfAPlainLoop) {
    constexpr index_t kRows = 700;
    constexpr index_t kWidth = 9;
    Random random(2);
    std::vector<float> x;
    Labels labels;
    for (index_t i = 0; i < kRows; ++i) {
        labels.push_back(static_cast<std::int32_t>(i)); // the answer with one neighbour names the row
        for (index_t k = 0; k < kWidth; ++k) {
            x.push_back(static_cast<float>(3 + random.normal()));
        }
    }
    Rows known(100);
    Rows asked(kRows - 100);
    std::iota(known.begin(), known.end(), 0);
    std::iota(asked.begin(), asked.end(), 100);
    std::vector<double> mean(kWidth, 0.0);
    auto const at = [&](index_t row, std::size_t k) {
        return static_cast<double>(x[static_cast<std::size_t>(row * kWidth) + k]) - mean[k];
    };
    auto offset = mean;
    for (std::size_t k = 0; k < offset.size(); ++k) {
        for (index_t const row : known) {
            offset[k] += at(row, k) / 100;
        }
    }
    mean = offset;
    auto const cosine = [&](index_t a, index_t b) {
        double ab = 0;
        double aa = 0;
        double bb = 0;
        for (std::size_t k = 0; k < mean.size(); ++k) {
            ab += at(a, k) * at(b, k);
            aa += at(a, k) * at(a, k);
            bb += at(b, k) * at(b, k);
        }
        return ab / std::sqrt(aa * bb);
    };
    auto const answers = ask(x, kWidth, labels, known, asked, 1);
    ASSERT_EQ(answers.size(), asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
        for (index_t const row : known) {
            // fp32 cosines of sums of nine products are off by less than 1e-6.
            EXPECT_GE(cosine(asked[i], answers[i]), cosine(asked[i], row) - 2e-6) << i;
        }
    }
}

TEST(NearestNeighbours, RefusesWhatCannotBeAsked) {
    EXPECT_THROW(ask({1, 2}, 1, {0, 1}, {}, {1}, 1), Error);
    EXPECT_THROW(ask({1, 2}, 1, {0, 1}, {0}, {1}, 0), Error);
    EXPECT_EQ(ask({1, 2}, 1, {0, 1}, {0}, {}, 1), Labels{});
}

} // namespace
} // namespace strandwave
