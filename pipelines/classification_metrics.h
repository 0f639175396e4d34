#pragma once

#include "lib/core/view.h"
#include "pipelines/bootstrap.h"

#include <cstdint>
#include <span>
#include <vector>

namespace strandwave {

/// Rows with a known class and what a classifier says of them.
struct ScoredRows {
    std::span<std::int32_t const> truth;  ///< [n], each in [0, classes)
    View<double const, 2> probabilities;  ///< [n, classes], finite; two classes or more
    std::span<index_t const> groups = {}; ///< [n]: rows of equal number are drawn together; empty: each by itself

    index_t rows() const noexcept { return static_cast<index_t>(truth.size()); }
    index_t classes() const noexcept { return probabilities.cols; }
};

/// Throws shape_mismatch (extents that differ), invalid_argument (no row, fewer than two classes, a class out of range,
/// a probability that is not finite).
void check(ScoredRows const& rows);

/// The class of the largest probability, of equal ones the first: what `classify` answers.
index_t predicted_class(View<double const, 2> probabilities, index_t row);

/// C[t, p]: rows of class t that were taken for class p.
struct Confusion {
    explicit Confusion(index_t class_count);

    index_t classes;
    std::vector<index_t> counts; ///< [classes, classes]

    index_t& operator()(index_t truth, index_t predicted);
    index_t operator()(index_t truth, index_t predicted) const;
    index_t truths(index_t k) const;      ///< t_k = sum_p C[k, p]
    index_t predictions(index_t k) const; ///< p_k = sum_t C[t, k]
    index_t rows() const;                 ///< s
    index_t correct() const;              ///< c = sum_k C[k, k]
};

Confusion confusion_matrix(ScoredRows const& rows);

/// c / s. All scores of a matrix are NaN without a row.
double accuracy(Confusion const& confusion);

/// The mean of recall, C[k, k] / t_k, over the classes that occur (Brodersen et al. 2010, doi:10.1109/ICPR.2010.764).
double balanced_accuracy(Confusion const& confusion);

/// Matthews' correlation coefficient of K classes, R_K (Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006):
///     (c s - sum_k p_k t_k) / sqrt((s^2 - sum_k p_k^2) (s^2 - sum_k t_k^2)),
/// of two classes (TP TN - FP FN) / sqrt((TP+FP) (TP+FN) (TN+FP) (TN+FN)). 0 where the root is: all rows are of one
/// class, or were taken for one.
double matthews_correlation(Confusion const& confusion);

/// One class against the rest. NaN: nothing to divide by.
struct ClassScores {
    index_t rows = 0;      ///< t_k
    index_t predicted = 0; ///< p_k
    index_t correct = 0;   ///< C[k, k]
    double precision = 0;  ///< C[k, k] / p_k
    double recall = 0;     ///< C[k, k] / t_k
    double f1 = 0;         ///< 2 C[k, k] / (p_k + t_k)
};
std::vector<ClassScores> class_scores(Confusion const& confusion);

/// The mean of F1 over the classes that occur or were predicted.
double macro_f1(Confusion const& confusion);

/// Area under the curve of the receiver operating characteristic, one class against the rest, the mean over the classes
/// that have rows inside and outside (the unweighted one-vs-rest mean); NaN if none has. Of one class it is the
/// probability that a row of the class has a larger p_k than a row of the rest, a tie counting half, from ranks (Mann
/// and Whitney 1947; Hanley and McNeil 1982):
///     (sum over rows of the class of the mid-rank of p_k - P (P + 1) / 2) / (P N).
double macro_auroc(ScoredRows const& rows);

/// The mean of -ln p[truth], in nats, p no less than 2^-52.
double log_loss(ScoredRows const& rows);

/// Rows whose largest probability is in (low, high], of the first bin in [0, high].
struct CalibrationBin {
    double low = 0;
    double high = 0;
    index_t rows = 0;
    double confidence = 0; ///< mean of the largest probability; NaN without a row
    double accuracy = 0;   ///< NaN without a row
};
inline constexpr index_t kCalibrationBins = 15;
std::vector<CalibrationBin> calibration_bins(ScoredRows const& rows, index_t bins = kCalibrationBins);

/// Expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3, with 15 bins of equal width as there):
///     sum_m |B_m| / n |accuracy(B_m) - confidence(B_m)|.
double calibration_error(std::vector<CalibrationBin> const& bins);

/// Accuracy where only the most confident rows are answered.
struct CoveragePoint {
    double share = 0;     ///< answered / n
    index_t answered = 0; ///< rows whose largest probability is `least` or more
    double least = 0;     ///< the threshold, as --min-probability takes it
    double accuracy = 0;  ///< of those that are answered
};
inline constexpr index_t kCoveragePoints = 100;
/// By falling confidence: for each of the shares 1/points, 2/points ... 1 the fewest rows that reach it. Rows of equal
/// confidence are answered together, and points that are the same are given once.
std::vector<CoveragePoint> coverage_curve(ScoredRows const& rows, index_t points = kCoveragePoints);

struct BootstrapIntervals {
    Interval accuracy, balanced_accuracy, matthews_correlation, macro_auroc;
};
/// By `bootstrap`. Takes 8 n classes bytes, and time for resamples n classes steps.
BootstrapIntervals bootstrap_intervals(ScoredRows const& rows, BootstrapOptions const& options = {});

/// Everything above. Throws what `check` throws; the single functions take rows that passed it.
struct ClassificationMetrics {
    Confusion confusion;
    double accuracy, balanced_accuracy, matthews_correlation, macro_f1, macro_auroc, log_loss, calibration_error;
    BootstrapIntervals intervals;
    std::vector<ClassScores> classes;
    std::vector<CalibrationBin> calibration;
    std::vector<CoveragePoint> coverage;
};
ClassificationMetrics classification_metrics(ScoredRows const& rows, BootstrapOptions const& options = {});

} // namespace strandwave
