#include "pipelines/classification_metrics.h"

#include "lib/core/check.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace strandwave {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double ratio(index_t part, index_t whole) {
    return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : kNaN;
}

/// The mean of the values that are not NaN; NaN if there is none.
class Mean {
public:
    void add(double value) {
        if (std::isnan(value)) { return; }
        sum_ += value;
        ++count_;
    }
    double get() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : kNaN; }

private:
    double sum_ = 0;
    index_t count_ = 0;
};

struct Answer {
    double confidence = 0;
    bool correct = false;
};

std::vector<Answer> answers(ScoredRows const& rows) {
    std::vector<Answer> all;
    all.reserve(rows.truth.size());
    for (index_t row = 0; row < rows.rows(); ++row) {
        index_t const k = predicted_class(rows.probabilities, row);
        all.push_back({rows.probabilities(row, k), k == rows.truth[static_cast<std::size_t>(row)]});
    }
    return all;
}

} // namespace

void check(ScoredRows const& rows) {
    check_extent("classification metrics", "probabilities", rows.probabilities.rows, rows.rows());
    if (!rows.groups.empty()) {
        check_extent("classification metrics", "groups", static_cast<index_t>(rows.groups.size()), rows.rows());
    }
    auto const refuse = [](std::string const& why) {
        throw Error(ErrorCode::invalid_argument, "classification metrics: " + why);
    };
    if (rows.truth.empty()) { refuse("there is no row"); }
    if (rows.classes() < 2) { refuse("a classifier has two classes or more"); }
    for (index_t row = 0; row < rows.rows(); ++row) {
        index_t const truth = rows.truth[static_cast<std::size_t>(row)];
        if (truth < 0 || truth >= rows.classes()) {
            refuse("row " + std::to_string(row) + " is of class " + std::to_string(truth) + " of " +
                   std::to_string(rows.classes()));
        }
        auto const* const first = rows.probabilities.row(row);
        if (!std::all_of(first, first + rows.classes(), [](double p) { return std::isfinite(p); })) {
            refuse("row " + std::to_string(row) + " has a probability that is not finite");
        }
    }
}

index_t predicted_class(View<double const, 2> probabilities, index_t row) {
    auto const* const first = probabilities.row(row);
    return std::max_element(first, first + probabilities.cols) - first;
}

Confusion::Confusion(index_t class_count)
    : classes(class_count), counts(static_cast<std::size_t>(class_count * class_count), 0) {}

index_t& Confusion::operator()(index_t truth, index_t predicted) {
    return counts[static_cast<std::size_t>(truth * classes + predicted)];
}

index_t Confusion::operator()(index_t truth, index_t predicted) const {
    return counts[static_cast<std::size_t>(truth * classes + predicted)];
}

index_t Confusion::truths(index_t k) const {
    auto const row = counts.begin() + k * classes;
    return std::accumulate(row, row + classes, index_t{0});
}

index_t Confusion::predictions(index_t k) const {
    index_t sum = 0;
    for (index_t t = 0; t < classes; ++t) {
        sum += (*this)(t, k);
    }
    return sum;
}

index_t Confusion::rows() const { return std::accumulate(counts.begin(), counts.end(), index_t{0}); }

index_t Confusion::correct() const {
    index_t sum = 0;
    for (index_t k = 0; k < classes; ++k) {
        sum += (*this)(k, k);
    }
    return sum;
}

Confusion confusion_matrix(ScoredRows const& rows) {
    Confusion confusion(rows.classes());
    for (index_t row = 0; row < rows.rows(); ++row) {
        ++confusion(rows.truth[static_cast<std::size_t>(row)], predicted_class(rows.probabilities, row));
    }
    return confusion;
}

double accuracy(Confusion const& confusion) { return ratio(confusion.correct(), confusion.rows()); }

double balanced_accuracy(Confusion const& confusion) {
    Mean recall;
    for (index_t k = 0; k < confusion.classes; ++k) {
        recall.add(ratio(confusion(k, k), confusion.truths(k)));
    }
    return recall.get();
}

double matthews_correlation(Confusion const& confusion) {
    auto const s = static_cast<double>(confusion.rows());
    if (s == 0) { return kNaN; }
    double covariance = static_cast<double>(confusion.correct()) * s;
    double predicted = s * s;
    double truth = s * s;
    for (index_t k = 0; k < confusion.classes; ++k) {
        auto const p = static_cast<double>(confusion.predictions(k));
        auto const t = static_cast<double>(confusion.truths(k));
        covariance -= p * t;
        predicted -= p * p;
        truth -= t * t;
    }
    return predicted > 0 && truth > 0 ? covariance / std::sqrt(predicted * truth) : 0.0;
}

std::vector<ClassScores> class_scores(Confusion const& confusion) {
    std::vector<ClassScores> all;
    for (index_t k = 0; k < confusion.classes; ++k) {
        ClassScores scores;
        scores.rows = confusion.truths(k);
        scores.predicted = confusion.predictions(k);
        scores.correct = confusion(k, k);
        scores.precision = ratio(scores.correct, scores.predicted);
        scores.recall = ratio(scores.correct, scores.rows);
        scores.f1 = ratio(2 * scores.correct, scores.predicted + scores.rows);
        all.push_back(scores);
    }
    return all;
}

double macro_f1(Confusion const& confusion) {
    Mean f1;
    for (auto const& scores : class_scores(confusion)) {
        f1.add(scores.f1);
    }
    return f1.get();
}

double log_loss(ScoredRows const& rows) {
    double sum = 0;
    for (index_t row = 0; row < rows.rows(); ++row) {
        double const p = rows.probabilities(row, rows.truth[static_cast<std::size_t>(row)]);
        sum -= std::log(std::max(p, std::numeric_limits<double>::epsilon()));
    }
    return sum / static_cast<double>(rows.rows());
}

std::vector<CalibrationBin> calibration_bins(ScoredRows const& rows, index_t bins) {
    std::vector<CalibrationBin> all(static_cast<std::size_t>(bins));
    std::vector<index_t> correct(all.size(), 0);
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].low = static_cast<double>(i) / static_cast<double>(bins);
        all[i].high = static_cast<double>(i + 1) / static_cast<double>(bins);
    }
    for (Answer const& answer : answers(rows)) {
        // The first bin that reaches up to it; a sum that rounds above 1 belongs to the last one.
        auto bin = std::lower_bound(all.begin(), all.end() - 1, answer.confidence,
                                    [](CalibrationBin const& one, double value) { return one.high < value; });
        ++bin->rows;
        bin->confidence += answer.confidence;
        correct[static_cast<std::size_t>(bin - all.begin())] += answer.correct ? 1 : 0;
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].accuracy = ratio(correct[i], all[i].rows);
        all[i].confidence = all[i].rows > 0 ? all[i].confidence / static_cast<double>(all[i].rows) : kNaN;
    }
    return all;
}

double calibration_error(std::vector<CalibrationBin> const& bins) {
    double sum = 0;
    index_t rows = 0;
    for (auto const& bin : bins) {
        if (bin.rows == 0) { continue; }
        rows += bin.rows;
        sum += static_cast<double>(bin.rows) * std::abs(bin.accuracy - bin.confidence);
    }
    return rows > 0 ? sum / static_cast<double>(rows) : kNaN;
}

std::vector<CoveragePoint> coverage_curve(ScoredRows const& rows, index_t points) {
    auto all = answers(rows);
    std::sort(all.begin(), all.end(), [](Answer const& a, Answer const& b) { return a.confidence > b.confidence; });
    auto const n = static_cast<index_t>(all.size());
    std::vector<CoveragePoint> curve;
    index_t correct = 0;
    index_t next = 1; // the share next / points is to be reached
    for (index_t i = 0; i < n; ++i) {
        auto const& answer = all[static_cast<std::size_t>(i)];
        correct += answer.correct ? 1 : 0;
        bool const tied = i + 1 < n && all[static_cast<std::size_t>(i) + 1].confidence == answer.confidence;
        index_t const answered = i + 1;
        if (tied || answered * points < next * n) { continue; }
        curve.push_back({ratio(answered, n), answered, answer.confidence, ratio(correct, answered)});
        next = answered * points / n + 1;
    }
    return curve;
}

ClassificationMetrics classification_metrics(ScoredRows const& rows, BootstrapOptions const& options) {
    check(rows);
    Confusion const confusion = confusion_matrix(rows);
    auto const calibration = calibration_bins(rows);
    return {confusion,
            accuracy(confusion),
            balanced_accuracy(confusion),
            matthews_correlation(confusion),
            macro_f1(confusion),
            macro_auroc(rows),
            log_loss(rows),
            calibration_error(calibration),
            bootstrap_intervals(rows, options),
            class_scores(confusion),
            calibration,
            coverage_curve(rows)};
}

} // namespace strandwave
