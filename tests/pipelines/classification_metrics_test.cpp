#include "lib/core/error.h"
#include "lib/core/random.h"
#include "pipelines/classification_metrics.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace strandwave {
namespace {

/// Sums of a handful of doubles of size one.
constexpr double kRounding = 1e-14;

struct Table {
    std::vector<std::int32_t> truth;
    std::vector<double> values;
    index_t classes = 2;
    std::vector<index_t> groups = {};

    ScoredRows rows() const { return {truth, {values.data(), static_cast<index_t>(truth.size()), classes}, groups}; }
};

/// Of two classes: the probability of the second.
Table binary(std::vector<std::int32_t> truth, std::vector<double> const& second) {
    Table table{std::move(truth), {}};
    for (double const p : second) {
        table.values.insert(table.values.end(), {1 - p, p});
    }
    return table;
}

Confusion matrix(std::vector<index_t> counts) {
    Confusion confusion(static_cast<index_t>(std::lround(std::sqrt(counts.size()))));
    confusion.counts = std::move(counts);
    return confusion;
}

TEST(ConfusionMatrix, CountsTruthsDownAndPredictionsAcross) {
    // The last row is a tie, which goes to the first of the two.
    Table const table{{0, 0, 2, 1, 1}, {.8, .1, .1, .2, .5, .3, .1, .2, .7, .1, .8, .1, .4, .4, .2}, 3};
    auto const confusion = confusion_matrix(table.rows());
    EXPECT_EQ(confusion.counts, (std::vector<index_t>{1, 1, 0, 1, 1, 0, 0, 0, 1}));
    EXPECT_EQ(confusion.rows(), 5);
    EXPECT_EQ(confusion.correct(), 3);
    EXPECT_EQ(confusion.truths(1), 2);
    EXPECT_EQ(confusion.predictions(2), 1);
}

TEST(ScoresOfAMatrix, TwoClassesByHand) {
    // TN 50, FP 10, FN 5, TP 35.
    auto const confusion = matrix({50, 10, 5, 35});
    EXPECT_NEAR(accuracy(confusion), 0.85, kRounding);
    EXPECT_NEAR(balanced_accuracy(confusion), (50.0 / 60 + 35.0 / 40) / 2, kRounding);
    EXPECT_NEAR(matthews_correlation(confusion), (35.0 * 50 - 10 * 5) / std::sqrt(45.0 * 40 * 60 * 55), kRounding);
    auto const scores = class_scores(confusion);
    EXPECT_EQ(scores[1].rows, 40);
    EXPECT_EQ(scores[1].predicted, 45);
    EXPECT_EQ(scores[1].correct, 35);
    EXPECT_NEAR(scores[1].precision, 35.0 / 45, kRounding);
    EXPECT_NEAR(scores[1].recall, 35.0 / 40, kRounding);
    EXPECT_NEAR(scores[1].f1, 70.0 / 85, kRounding);
    EXPECT_NEAR(macro_f1(confusion), (100.0 / 115 + 70.0 / 85) / 2, kRounding);
}

TEST(ScoresOfAMatrix, ThreeClassesByHand) {
    // c 9, s 14, t (5, 4, 5), p (4, 6, 4): (126 - 64) / sqrt((196 - 68) (196 - 66)).
    auto const confusion = matrix({3, 2, 0, 0, 3, 1, 1, 1, 3});
    EXPECT_NEAR(matthews_correlation(confusion), 62 / std::sqrt(128.0 * 130), kRounding);
    EXPECT_NEAR(balanced_accuracy(confusion), (0.6 + 0.75 + 0.6) / 3, kRounding);
    EXPECT_NEAR(macro_f1(confusion), (6.0 / 9 + 6.0 / 10 + 6.0 / 9) / 3, kRounding);
}

TEST(ScoresOfAMatrix, PerfectInvertedAndConstant) {
    EXPECT_NEAR(matthews_correlation(matrix({4, 0, 0, 6})), 1, kRounding);
    EXPECT_NEAR(matthews_correlation(matrix({0, 4, 6, 0})), -1, kRounding);
    EXPECT_NEAR(matthews_correlation(matrix({2, 0, 0, 0, 3, 0, 0, 0, 4})), 1, kRounding);
    EXPECT_EQ(matthews_correlation(matrix({4, 0, 6, 0})), 0) << "all taken for one class";
    EXPECT_EQ(matthews_correlation(matrix({4, 6, 0, 0})), 0) << "all of one class";
}

TEST(ScoresOfAMatrix, ClassesThatDoNotOccur) {
    // Class 1 neither occurs nor is predicted; class 2 is predicted only.
    auto const confusion = matrix({6, 0, 2, 0, 0, 0, 0, 0, 0});
    EXPECT_NEAR(balanced_accuracy(confusion), 0.75, kRounding);
    auto const scores = class_scores(confusion);
    EXPECT_TRUE(std::isnan(scores[1].precision));
    EXPECT_TRUE(std::isnan(scores[1].f1));
    EXPECT_TRUE(std::isnan(scores[2].recall));
    EXPECT_EQ(scores[2].precision, 0);
    EXPECT_NEAR(macro_f1(confusion), (12.0 / 14 + 0) / 2, kRounding);
    EXPECT_TRUE(std::isnan(accuracy(matrix({0, 0, 0, 0}))));
    EXPECT_TRUE(std::isnan(matthews_correlation(matrix({0, 0, 0, 0}))));
}

TEST(Auroc, TwoClassesWithATieByHand) {
    // Pairs (positive, negative): .8>.1 .8>.4 .8>.5 .5>.1 .5>.4 .5=.5 .3>.1 .3<.4 .3<.5 : 6.5 of 9.
    auto const table = binary({0, 0, 0, 1, 1, 1}, {.1, .4, .5, .8, .5, .3});
    EXPECT_NEAR(macro_auroc(table.rows()), 6.5 / 9, kRounding);
    EXPECT_EQ(macro_auroc(binary({0, 1}, {.2, .3}).rows()), 1);
    EXPECT_EQ(macro_auroc(binary({0, 1}, {.3, .2}).rows()), 0);
    EXPECT_EQ(macro_auroc(binary({0, 1, 1, 0}, {.3, .3, .3, .3}).rows()), 0.5);
}

TEST(Auroc, MeanOverTheClassesThatOccur) {
    // Class 0: .6 .5 against .7 .1: 2 of 4. Class 1: .2 .8 against .3 .4: 2 of 4; class 2 has no row.
    Table const table{{0, 0, 1, 1}, {.6, .3, .1, .5, .4, .1, .7, .2, .1, .1, .8, .1}, 3};
    EXPECT_NEAR(macro_auroc(table.rows()), 0.5, kRounding);
    EXPECT_TRUE(std::isnan(macro_auroc(binary({1, 1}, {.3, .2}).rows())));
}

TEST(Auroc, EqualsTheCountOverAllPairs) {
    Random random(3);
    Table table{{}, {}, 4};
    for (int row = 0; row < 200; ++row) {
        table.truth.push_back(static_cast<std::int32_t>(random.below(4)));
        for (int k = 0; k < 4; ++k) {
            table.values.push_back(static_cast<double>(random.below(20)) / 20); // many ties
        }
    }
    auto const rows = table.rows();
    double sum = 0;
    for (std::int32_t k = 0; k < 4; ++k) {
        double wins = 0, pairs = 0;
        for (std::size_t a = 0; a < 200; ++a) {
            for (std::size_t b = 0; b < 200; ++b) {
                if (table.truth[a] != k || table.truth[b] == k) { continue; }
                double const p = table.values[a * 4 + static_cast<std::size_t>(k)];
                double const q = table.values[b * 4 + static_cast<std::size_t>(k)];
                wins += p > q ? 1 : p == q ? 0.5 : 0;
                ++pairs;
            }
        }
        sum += wins / pairs;
    }
    EXPECT_NEAR(macro_auroc(rows), sum / 4, kRounding);
}

TEST(LogLoss, MeanInNatsAndFiniteAtZero) {
    auto const table = binary({1, 0}, {.25, .5});
    EXPECT_NEAR(log_loss(table.rows()), (std::log(4) + std::log(2)) / 2, kRounding);
    EXPECT_NEAR(log_loss(binary({0}, {1}).rows()), 52 * std::log(2), 1e-12);
}

TEST(Calibration, BinsAreOpenBelowAndClosedAbove) {
    // Confidences .5 (right), .5 (wrong), .75 (right), .8 (wrong), 1 (right), in 4 bins.
    auto const table = binary({0, 1, 1, 0, 1}, {.5, .5, .75, .8, 1});
    auto const bins = calibration_bins(table.rows(), 4);
    ASSERT_EQ(bins.size(), 4U);
    EXPECT_EQ(bins[0].rows, 0);
    EXPECT_TRUE(std::isnan(bins[0].accuracy));
    EXPECT_EQ(bins[1].rows, 2);
    EXPECT_NEAR(bins[1].accuracy, .5, kRounding);
    EXPECT_EQ(bins[2].rows, 1);
    EXPECT_EQ(bins[2].high, .75);
    EXPECT_EQ(bins[3].rows, 2);
    EXPECT_NEAR(bins[3].confidence, .9, kRounding);
    // (2 |.5 - .5| + 1 |1 - .75| + 2 |.5 - .9|) / 5
    EXPECT_NEAR(calibration_error(bins), (0.25 + 0.8) / 5, kRounding);
}

TEST(Calibration, FifteenBins) {
    auto const bins = calibration_bins(binary({0, 1}, {.3, .9}).rows());
    ASSERT_EQ(bins.size(), 15U);
    EXPECT_EQ(bins[10].rows, 1); // .7 in (10/15, 11/15]
    EXPECT_EQ(bins[13].rows, 1); // .9 in (13/15, 14/15]
    EXPECT_NEAR(calibration_error(bins), (.3 + .1) / 2, kRounding);
}

TEST(Coverage, TheMostConfidentFirstAndTiesTogether) {
    // By falling confidence: .9 right, .8 wrong and .8 right, .6 right.
    auto const table = binary({1, 0, 1, 0}, {.9, .8, .8, .4});
    auto const curve = coverage_curve(table.rows());
    ASSERT_EQ(curve.size(), 3U);
    EXPECT_EQ(curve[0].answered, 1);
    EXPECT_EQ(curve[0].share, .25);
    EXPECT_EQ(curve[0].least, .9);
    EXPECT_EQ(curve[0].accuracy, 1);
    EXPECT_EQ(curve[1].answered, 3);
    EXPECT_NEAR(curve[1].accuracy, 2.0 / 3, kRounding);
    EXPECT_EQ(curve[2].answered, 4);
    EXPECT_EQ(curve[2].accuracy, .75);
}

TEST(Coverage, NoMorePointsThanAskedForAndTheLastIsAll) {
    std::vector<std::int32_t> truth(1000, 1);
    std::vector<double> second;
    for (int i = 0; i < 1000; ++i) {
        second.push_back(.5 + i * .0004);
    }
    auto const table = binary(std::move(truth), second);
    auto const curve = coverage_curve(table.rows(), 8);
    ASSERT_EQ(curve.size(), 8U);
    for (std::size_t i = 0; i < 8; ++i) {
        EXPECT_EQ(curve[i].answered, 125 * static_cast<index_t>(i + 1));
    }
}

/// 200 rows of two classes, of which four in five are right.
Table four_in_five() {
    std::vector<std::int32_t> truth;
    std::vector<double> second;
    for (int i = 0; i < 200; ++i) {
        truth.push_back(i % 2);
        bool const right = i / 2 % 5 != 0;
        second.push_back((i % 2 != 0) == right ? .7 + i * .001 : .3 - i * .001);
    }
    return binary(std::move(truth), second);
}

TEST(Bootstrap, IntervalHasTheWidthOfABinomialShare) {
    auto const table = four_in_five();
    auto const intervals = bootstrap_intervals(table.rows());
    // Standard error sqrt(.8 .2 / 200) = .02828; a quantile of 1000 resamples has an error of its own, about a tenth
    // of it at 2.5 % (sqrt(.025 .975 / 1000) / density), and of shares of 200 rows another step of .005.
    double const half = 1.96 * .02828;
    EXPECT_NEAR(intervals.accuracy.low, .8 - half, .01);
    EXPECT_NEAR(intervals.accuracy.high, .8 + half, .01);
    for (auto const& one : {intervals.balanced_accuracy, intervals.matthews_correlation, intervals.macro_auroc}) {
        EXPECT_LT(one.low, one.high);
    }
    EXPECT_LT(intervals.matthews_correlation.low, .6);
    EXPECT_GT(intervals.matthews_correlation.high, .6);
    double const area = macro_auroc(table.rows());
    EXPECT_LT(intervals.macro_auroc.low, area);
    EXPECT_GT(intervals.macro_auroc.high, area);
}

TEST(Bootstrap, SameSeedSameBitsOtherSeedOthers) {
    auto const table = four_in_five();
    auto const a = bootstrap_intervals(table.rows());
    auto const b = bootstrap_intervals(table.rows());
    auto const c = bootstrap_intervals(table.rows(), {.seed = 2});
    EXPECT_EQ(a.macro_auroc.low, b.macro_auroc.low);
    EXPECT_EQ(a.macro_auroc.high, b.macro_auroc.high);
    EXPECT_NE(a.macro_auroc.low, c.macro_auroc.low);
}

TEST(Bootstrap, CopiesInAGroupMakeNoIntervalNarrower) {
    auto const once = four_in_five();
    Table tenfold{{}, {}};
    for (std::size_t row = 0; row < once.truth.size(); ++row) {
        for (int copy = 0; copy < 10; ++copy) {
            tenfold.truth.push_back(once.truth[row]);
            tenfold.values.insert(tenfold.values.end(), {once.values[2 * row], once.values[2 * row + 1]});
            tenfold.groups.push_back(1000 - static_cast<index_t>(row));
        }
    }
    auto const width = [](Interval const& one) { return one.high - one.low; };
    auto const alone = width(bootstrap_intervals(once.rows()).accuracy);
    auto const grouped = width(bootstrap_intervals(tenfold.rows()).accuracy);
    tenfold.groups.clear();
    auto const ungrouped = width(bootstrap_intervals(tenfold.rows()).accuracy);
    EXPECT_NEAR(grouped, alone, .015);
    EXPECT_NEAR(ungrouped, alone / std::sqrt(10), .01);
}

TEST(Bootstrap, OneGroupHasNoInterval) {
    auto table = four_in_five();
    table.groups.assign(table.truth.size(), 7);
    EXPECT_TRUE(std::isnan(bootstrap_intervals(table.rows()).accuracy.low));
    EXPECT_TRUE(std::isnan(bootstrap_intervals(table.rows()).macro_auroc.high));
}

TEST(ClassificationMetricsTest, HoldsWhatTheFunctionsSay) {
    auto const table = four_in_five();
    auto const all = classification_metrics(table.rows());
    EXPECT_EQ(all.accuracy, .8);
    EXPECT_EQ(all.macro_auroc, macro_auroc(table.rows()));
    EXPECT_EQ(all.intervals.accuracy.low, bootstrap_intervals(table.rows()).accuracy.low);
    EXPECT_EQ(all.coverage.back().accuracy, all.accuracy);
    EXPECT_EQ(all.confusion.correct(), 160);
}

TEST(ClassificationMetricsTest, RefusesWhatIsNotThere) {
    auto const code = [](Table const& table) {
        try {
            classification_metrics(table.rows());
        } catch (Error const& error) { return error.code(); }
        return ErrorCode::io;
    };
    double const nan = std::numeric_limits<double>::quiet_NaN();
    EXPECT_EQ(code({{}, {}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({{0, 0}, {1, 1}, 1}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({{2}, {.5, .5}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({{-1}, {.5, .5}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({{1}, {nan, .5}}), ErrorCode::invalid_argument);
    EXPECT_EQ(code({{1}, {.5, .5}, 2, {1, 2}}), ErrorCode::shape_mismatch);
}

} // namespace
} // namespace strandwave
