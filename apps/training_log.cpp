#include "apps/training_log.h"

#include "lib/core/error.h"
#include "lib/core/partial_file.h"
#include "pipelines/curve_plot.h"
#include "pipelines/table_cells.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numbers>
#include <unistd.h>

namespace strandwave {
namespace {

constexpr char const* kHeader =
    "step\tset\tloss\taccuracy\tscore\tlearning_rate\tgradient_norm\tpositions_per_s\tseconds\n";

constexpr std::size_t kColumns = 9;

std::string duration(double seconds) {
    char text[64];
    auto const s = static_cast<long>(seconds);
    if (s < 3600) {
        std::snprintf(text, sizeof text, "%ld:%02ld", s / 60, s % 60);
    } else {
        std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    }
    return text;
}

} // namespace

TrainingLog::TrainingLog(LogOptions const& log, std::filesystem::path folder, index_t step, index_t total,
                         Objective objective)
    : log_(log), folder_(std::move(folder)), begin_(step), total_(total), objective_(objective) {
    if (step > 0) { read(step); }
}

void TrainingLog::read(index_t step) {
    std::ifstream in(folder_ / "metrics.tsv");
    std::string line;
    std::getline(in, line);
    std::vector<std::string_view> cells;
    while (std::getline(in, line)) {
        split_cells(line, '\t', cells);
        if (cells.size() != kColumns) { continue; }
        auto const number = [&](std::size_t column) {
            return std::strtod(std::string(cells[column]).c_str(), nullptr);
        };
        Row row;
        row.step = std::strtoll(std::string(cells[0]).c_str(), nullptr, 10);
        if (row.step > step) { continue; }
        row.validation = cells[1] == "validation";
        row.loss = number(2);
        row.accuracy = number(3);
        row.score = number(4); // "-" is 0
        row.learning_rate = number(5);
        row.gradient_norm = number(6);
        row.tokens_per_s = number(7);
        row.seconds = number(8);
        before_ = std::max(before_, row.seconds);
        rows_.push_back(row);
    }
}

/// The loss and what it comes to: of tokens in bits, of numbers a typical error in standard deviations of the labels.
std::string TrainingLog::judged(Row const& row) const {
    char text[128];
    if (objective_ == Objective::regression) {
        std::snprintf(text, sizeof text, "loss %.4f, error %.4f deviations", row.loss, std::sqrt(2 * row.loss));
        return text;
    }
    char bits[64] = "";
    if (row.validation && !is_pooled(objective_)) {
        std::snprintf(bits, sizeof bits, " (%.4f bits)", row.loss / std::numbers::ln2);
    }
    std::snprintf(text, sizeof text, "loss %.4f%s, accuracy %.4f", row.loss, bits, row.accuracy);
    return text;
}

void TrainingLog::progress(TrainingProgress const& progress, index_t bytes) {
    Row row;
    double const count = std::max(1.0, progress.sums.count);
    row.step = progress.step;
    row.loss = progress.sums.loss / count;
    row.accuracy = progress.sums.correct / count;
    row.learning_rate = progress.learning_rate;
    row.gradient_norm = progress.gradient_norm;
    row.tokens_per_s = static_cast<double>(progress.positions) / std::max(1e-9, progress.seconds - last_seconds_);
    row.seconds = before_ + progress.seconds;
    last_seconds_ = progress.seconds;
    rows_.push_back(row);
    if (log_.quiet) { return; }
    double const left = progress.seconds * static_cast<double>(total_ - progress.step) /
                        static_cast<double>(std::max<index_t>(1, progress.step - begin_));
    char text[256];
    std::snprintf(text, sizeof text, "step %lld/%lld: %s, %.3g positions/s, %.2f GiB, %s gone, %s left",
                  static_cast<long long>(progress.step), static_cast<long long>(total_), judged(row).c_str(),
                  row.tokens_per_s, static_cast<double>(bytes) / (1 << 30), duration(progress.seconds).c_str(),
                  duration(left).c_str());
    if (::isatty(STDERR_FILENO) != 0) {
        std::cerr << "\r\033[K" << text << std::flush;
        drawn_ = true;
    } else {
        log_line(log_, text);
    }
}

void TrainingLog::validated(Validation const& validation) {
    Row row;
    double const count = std::max(1.0, validation.sums.count);
    row.step = validation.step;
    row.validation = true;
    row.loss = validation.sums.loss / count;
    row.accuracy = validation.sums.correct / count;
    row.score = validation.score;
    row.seconds = rows_.empty() ? 0 : rows_.back().seconds;
    rows_.push_back(row);
    char text[256];
    std::snprintf(text, sizeof text, "step %lld: validation %s, score %.4f%s", static_cast<long long>(validation.step),
                  judged(row).c_str(), row.score, validation.best ? ", the best so far" : "");
    if (std::exchange(drawn_, false)) { std::cerr << '\n'; }
    log_line(log_, text);
    write();
}

void TrainingLog::write() {
    std::string text = kHeader;
    char line[256];
    for (auto const& row : rows_) {
        if (row.validation) {
            std::snprintf(line, sizeof line, "%lld\tvalidation\t%.9g\t%.9g\t%.9g\t\t\t\t%.3f\n",
                          static_cast<long long>(row.step), row.loss, row.accuracy, row.score, row.seconds);
        } else {
            std::snprintf(line, sizeof line, "%lld\ttraining\t%.9g\t%.9g\t-\t%.9g\t%.9g\t%.6g\t%.3f\n",
                          static_cast<long long>(row.step), row.loss, row.accuracy, row.learning_rate,
                          row.gradient_norm, row.tokens_per_s, row.seconds);
        }
        text += line;
    }
    write_file_whole(folder_ / "metrics.tsv", text);
    write_file_whole(folder_ / "curves.svg", curves());
}

std::string TrainingLog::curves() const {
    PlotSeries training{"training loss", {}, {}};
    PlotSeries validation{"validation loss", {}, {}};
    for (auto const& row : rows_) {
        auto& series = row.validation ? validation : training;
        series.x.push_back(static_cast<double>(row.step));
        series.y.push_back(row.loss);
    }
    std::vector<PlotSeries> series = {training};
    if (!validation.x.empty()) { series.push_back(validation); }
    return curves_svg("Training", "step", "loss (nats)", series);
}

} // namespace strandwave
