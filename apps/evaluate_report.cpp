#include "apps/evaluate_report.h"

#include "pipelines/confusion_plot.h"
#include "pipelines/output_file.h"
#include "pipelines/table_cells.h"

#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>

namespace strandwave {
namespace {

using Json = nlohmann::ordered_json;

constexpr Interval kNone{std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};

struct Figure {
    char const* name;
    double value;
    Interval interval;
};

std::vector<Figure> figures(ClassificationMetrics const& metrics) {
    auto const& intervals = metrics.intervals;
    return {{"accuracy", metrics.accuracy, intervals.accuracy},
            {"balanced_accuracy", metrics.balanced_accuracy, intervals.balanced_accuracy},
            {"mcc", metrics.matthews_correlation, intervals.matthews_correlation},
            {"auroc", metrics.macro_auroc, intervals.macro_auroc},
            {"macro_f1", metrics.macro_f1, kNone},
            {"log_loss", metrics.log_loss, kNone},
            {"calibration_error", metrics.calibration_error, kNone}};
}

std::vector<Figure> figures(RegressionMetrics const& metrics) {
    auto const& scores = metrics.scores;
    return {{"rmse", scores.rmse, metrics.rmse},
            {"mae", scores.mae, metrics.mae},
            {"r2", scores.r2, metrics.r2},
            {"pearson", scores.pearson, metrics.pearson},
            {"spearman", scores.spearman, metrics.spearman}};
}

std::string digits(double value, char const* format = "%.6g") {
    if (!std::isfinite(value)) { return {}; }
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string cell(std::string_view text) {
    std::string out;
    append_cell(text, out);
    return out;
}

void write_file(std::filesystem::path const& path, std::function<void(std::ostream&)> const& write) {
    OutputFile file(path);
    write(file.stream());
    file.commit();
}

void print_figures(std::ostream& out, index_t rows, std::vector<Figure> const& figures) {
    out << "metric\tvalue\tlow\thigh\n";
    out << "rows\t" << rows << "\t\t\n";
    for (auto const& figure : figures) {
        out << figure.name << '\t' << digits(figure.value) << '\t' << digits(figure.interval.low) << '\t'
            << digits(figure.interval.high) << '\n';
    }
}

void write_confusion(std::ostream& out, std::vector<std::string> const& classes, Confusion const& confusion) {
    out << "true\\predicted";
    for (auto const& name : classes) {
        out << '\t' << cell(name);
    }
    out << '\n';
    for (index_t t = 0; t < confusion.classes; ++t) {
        out << cell(classes[static_cast<std::size_t>(t)]);
        for (index_t p = 0; p < confusion.classes; ++p) {
            out << '\t' << confusion(t, p);
        }
        out << '\n';
    }
}

void write_classes(std::ostream& out, std::vector<std::string> const& classes, std::vector<ClassScores> const& all) {
    out << "class\trows\tpredicted\tcorrect\tprecision\trecall\tf1\n";
    for (std::size_t k = 0; k < classes.size(); ++k) {
        auto const& one = all[k];
        out << cell(classes[k]) << '\t' << one.rows << '\t' << one.predicted << '\t' << one.correct << '\t'
            << digits(one.precision) << '\t' << digits(one.recall) << '\t' << digits(one.f1) << '\n';
    }
}

void write_calibration(std::ostream& out, std::vector<CalibrationBin> const& bins) {
    out << "low\thigh\trows\tconfidence\taccuracy\n";
    for (auto const& bin : bins) {
        out << digits(bin.low) << '\t' << digits(bin.high) << '\t' << bin.rows << '\t' << digits(bin.confidence) << '\t'
            << digits(bin.accuracy) << '\n';
    }
}

void write_coverage(std::ostream& out, std::vector<CoveragePoint> const& curve) {
    out << "share\tanswered\tmin_probability\taccuracy\n";
    for (auto const& point : curve) {
        out << digits(point.share) << '\t' << point.answered << '\t' << digits(point.least) << '\t'
            << digits(point.accuracy) << '\n';
    }
}

void write_predictions(std::ostream& out, EvaluatedRows const& rows) {
    auto const scored = rows.scored();
    out << "name\tstart\tend\ttruth\tpredicted\tprobability\n";
    for (std::size_t row = 0; row < rows.units.size(); ++row) {
        auto const& unit = rows.units[row];
        auto const index = static_cast<index_t>(row);
        index_t const k = predicted_class(scored.probabilities, index);
        out << cell(unit.name) << '\t' << unit.start << '\t' << unit.end << '\t'
            << cell(rows.classes[static_cast<std::size_t>(rows.truth[row])]) << '\t'
            << cell(rows.classes[static_cast<std::size_t>(k)]) << '\t' << digits(scored.probabilities(index, k))
            << '\n';
    }
}

Json classes_json(std::vector<std::string> const& classes, std::vector<ClassScores> const& all) {
    Json list = Json::array();
    for (std::size_t k = 0; k < classes.size(); ++k) {
        list.push_back({{"class", classes[k]},
                        {"rows", all[k].rows},
                        {"predicted", all[k].predicted},
                        {"correct", all[k].correct},
                        {"precision", all[k].precision},
                        {"recall", all[k].recall},
                        {"f1", all[k].f1}});
    }
    return list;
}

void write_predictions(std::ostream& out, EvaluatedNumbers const& rows) {
    out << "name\tstart\tend\ttruth\tpredicted\n";
    for (std::size_t row = 0; row < rows.units.size(); ++row) {
        auto const& unit = rows.units[row];
        out << cell(unit.name) << '\t' << unit.start << '\t' << unit.end << '\t' << digits(rows.truth[row], "%.9g")
            << '\t' << digits(rows.predicted[row], "%.9g") << '\n';
    }
}

/// What all reports say. Numbers in full; what does not exist is null.
Json report_json(index_t rows, std::vector<Figure> const& figures, EvaluationOrigin const& origin) {
    Json json;
    json["model"] = origin.model;
    json["labels"] = origin.labels;
    json["rows"] = rows;
    json["unlabelled"] = origin.unlabelled;
    json["failed"] = origin.failed;
    for (auto const& figure : figures) {
        auto& one = json["metrics"][figure.name];
        one["value"] = figure.value;
        if (!std::isnan(figure.interval.low)) {
            one["low"] = figure.interval.low;
            one["high"] = figure.interval.high;
        }
    }
    json["interval"] = {{"method", "percentile bootstrap over records"},
                        {"level", origin.bootstrap.level},
                        {"resamples", origin.bootstrap.resamples},
                        {"seed", origin.bootstrap.seed}};
    return json;
}

Json report_json(EvaluatedRows const& rows, ClassificationMetrics const& metrics, EvaluationOrigin const& origin) {
    auto json = report_json(metrics.confusion.rows(), figures(metrics), origin);
    json["classes"] = classes_json(rows.classes, metrics.classes);
    auto& matrix = json["confusion"] = Json::array();
    auto const& counts = metrics.confusion.counts;
    for (auto row = counts.begin(); row != counts.end(); row += metrics.confusion.classes) {
        matrix.push_back(std::vector<index_t>(row, row + metrics.confusion.classes));
    }
    return json;
}

void print_json(std::ostream& out, Json const& json) {
    out << json.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
}

std::string picture_title(ClassificationMetrics const& metrics) {
    auto const& interval = metrics.intervals.accuracy;
    std::string title = "accuracy " + digits(metrics.accuracy, "%.3f");
    if (!std::isnan(interval.low)) {
        title += " (" + digits(interval.low, "%.3f") + " to " + digits(interval.high, "%.3f") + ")";
    }
    return title + ", MCC " + digits(metrics.matthews_correlation, "%.3f") + ", " +
           std::to_string(metrics.confusion.rows()) + " rows";
}

} // namespace

void print_metrics(std::ostream& out, ClassificationMetrics const& metrics) {
    print_figures(out, metrics.confusion.rows(), figures(metrics));
}

void print_metrics(std::ostream& out, RegressionMetrics const& metrics) {
    print_figures(out, metrics.rows, figures(metrics));
}

void write_evaluation(std::filesystem::path const& folder, EvaluatedRows const& rows,
                      ClassificationMetrics const& metrics, EvaluationOrigin const& origin) {
    auto const write = [&](char const* name, auto const& content) { write_file(folder / name, content); };
    write("metrics.tsv", [&](std::ostream& out) { print_metrics(out, metrics); });
    write("confusion.tsv", [&](std::ostream& out) { write_confusion(out, rows.classes, metrics.confusion); });
    write("per_class.tsv", [&](std::ostream& out) { write_classes(out, rows.classes, metrics.classes); });
    write("calibration.tsv", [&](std::ostream& out) { write_calibration(out, metrics.calibration); });
    write("coverage.tsv", [&](std::ostream& out) { write_coverage(out, metrics.coverage); });
    write("predictions.tsv", [&](std::ostream& out) { write_predictions(out, rows); });
    write("metrics.json", [&](std::ostream& out) { print_json(out, report_json(rows, metrics, origin)); });
    write("confusion.svg",
          [&](std::ostream& out) { out << confusion_svg(picture_title(metrics), rows.classes, metrics.confusion); });
}

void write_evaluation(std::filesystem::path const& folder, EvaluatedNumbers const& rows,
                      RegressionMetrics const& metrics, EvaluationOrigin const& origin) {
    write_file(folder / "metrics.tsv", [&](std::ostream& out) { print_metrics(out, metrics); });
    write_file(folder / "predictions.tsv", [&](std::ostream& out) { write_predictions(out, rows); });
    write_file(folder / "metrics.json",
               [&](std::ostream& out) { print_json(out, report_json(metrics.rows, figures(metrics), origin)); });
}

} // namespace strandwave
