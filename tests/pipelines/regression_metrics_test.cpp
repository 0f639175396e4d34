#include "pipelines/regression_metrics.h"

#include "lib/core/error.h"
#include "lib/core/random.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

using Numbers = std::vector<double>;

RegressionScores scores(Numbers const& truth, Numbers const& predicted) {
    return regression_metrics({truth, predicted}).scores;
}

/// Errors 1, -1, 0, 2: squares 6, around the mean 2.5 of the truth 5; deviations of the predictions around 3: -1, -2,
/// 0, 3, products 1.5 + 1 + 0 + 4.5 = 7, squares 14.
TEST(RegressionMetrics, OfFourRowsByHand) {
    auto const s = scores({1, 2, 3, 4}, {2, 1, 3, 6});
    EXPECT_DOUBLE_EQ(s.rmse, std::sqrt(6.0 / 4));
    EXPECT_DOUBLE_EQ(s.mae, 1);
    EXPECT_DOUBLE_EQ(s.r2, 1 - 6.0 / 5);
    EXPECT_DOUBLE_EQ(s.pearson, 7 / std::sqrt(5.0 * 14.0));
    EXPECT_DOUBLE_EQ(s.spearman, 1 - 6.0 * 2 / (4 * 15)); // ranks 2, 1, 3, 4: two differ by one
}

TEST(RegressionMetrics, EqualNumbersShareTheirMeanRank) {
    // Ranks 1.5, 1.5, 3, 4 against 1, 2, 3.5, 3.5.
    double const covariance = 1 * 1.5 + 1 * 0.5 + 0.5 * 1 + 1.5 * 1;
    double const spread = 2 * 1 + 0.25 + 2.25;
    auto const s = scores({5, 5, 6, 7}, {1, 2, 3, 3});
    EXPECT_DOUBLE_EQ(s.spearman, covariance / std::sqrt(spread * (2.25 + 0.25 + 2 * 1)));
}

TEST(RegressionMetrics, OrderIsAllThatSpearmanSees) {
    Numbers truth;
    Numbers predicted;
    for (int i = 0; i < 20; ++i) {
        truth.push_back(i);
        predicted.push_back(std::exp(-0.7 * i));
    }
    EXPECT_DOUBLE_EQ(scores(truth, predicted).spearman, -1);
    EXPECT_GT(scores(truth, predicted).pearson, -0.9);
}

TEST(RegressionMetrics, WhatDoesNotExistIsNotANumber) {
    auto const flat = scores({1, 2, 3}, {2, 2, 2});
    EXPECT_EQ(flat.r2, 0) << "who always says the mean";
    EXPECT_TRUE(std::isnan(flat.pearson) && std::isnan(flat.spearman));
    auto const same = scores({4, 4}, {3, 5});
    EXPECT_EQ(same.rmse, 1);
    EXPECT_TRUE(std::isnan(same.r2) && std::isnan(same.pearson));
    auto const tenths = regression_metrics({Numbers(3, 0.1), Numbers{1, 2, 3}}); // their sum is not 0.3
    EXPECT_TRUE(std::isnan(tenths.scores.r2) && std::isnan(tenths.scores.pearson));
    EXPECT_TRUE(std::isnan(tenths.r2.low) && std::isnan(tenths.pearson.low)) << "nor has any resample";
    EXPECT_TRUE(std::isnan(regression_metrics({Numbers{1}, Numbers{2}}).rmse.low)) << "one row has no interval";
}

/// Errors of +-1 around 1000 truths: the mean square error has a standard error of sqrt(Var(e^2) / n) = sqrt(2 / n).
TEST(RegressionMetrics, IntervalsAreAsWideAsSamplingIs) {
    Random random(3);
    Numbers truth;
    Numbers predicted;
    std::vector<index_t> groups;
    for (index_t i = 0; i < 1000; ++i) {
        truth.push_back(3 * random.normal());
        predicted.push_back(truth.back() + random.normal());
        groups.push_back(i / 10);
    }
    auto const m = regression_metrics({truth, predicted});
    double const squares = m.scores.rmse * m.scores.rmse;
    double const width = m.rmse.high * m.rmse.high - m.rmse.low * m.rmse.low;
    EXPECT_NEAR(width, 2 * 1.96 * squares * std::sqrt(2.0 / 1000), 0.15 * width);
    for (auto const& [interval, value] :
         {std::pair{m.mae, m.scores.mae}, std::pair{m.r2, m.scores.r2}, std::pair{m.pearson, m.scores.pearson},
          std::pair{m.spearman, m.scores.spearman}}) {
        EXPECT_LT(interval.low, value);
        EXPECT_GT(interval.high, value);
    }
    auto const grouped = regression_metrics({truth, predicted, groups});
    EXPECT_EQ(grouped.scores.mae, m.scores.mae);
    EXPECT_NE(grouped.mae.low, m.mae.low);
}

TEST(RegressionMetrics, RefusesWhatIsNotThere) {
    EXPECT_THROW(regression_metrics({}), Error);
    EXPECT_THROW(regression_metrics({Numbers{1, 2}, Numbers{1}}), Error);
    EXPECT_THROW(regression_metrics({Numbers{1}, Numbers{std::numeric_limits<double>::infinity()}}), Error);
}

} // namespace
} // namespace strandwave
