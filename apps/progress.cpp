#include "apps/progress.h"

#include "apps/interrupt.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

namespace strandwave {
namespace {

/// How far this process has read a file that it holds open; 0 if that cannot be told (no /proc, a mapped file).
double bytes_read(std::filesystem::path const& file) {
    struct stat wanted {};
    if (::stat(file.c_str(), &wanted) != 0) { return 0; }
    std::error_code error;
    for (auto const& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
        struct stat found {};
        if (::stat(entry.path().c_str(), &found) != 0 || found.st_ino != wanted.st_ino ||
            found.st_dev != wanted.st_dev) {
            continue;
        }
        std::ifstream info("/proc/self/fdinfo/" + entry.path().filename().string());
        std::string key;
        double position = 0;
        if (info >> key >> position) { return position; }
    }
    return 0;
}

std::string clock_time(double seconds) {
    auto const whole = static_cast<index_t>(std::llround(seconds));
    std::ostringstream text;
    text << whole / 3600 << ':' << std::setfill('0') << std::setw(2) << whole / 60 % 60 << ':' << std::setw(2)
         << whole % 60;
    return text.str();
}

/// Three digits, or all of a larger number; no exponent.
std::string rate(double amount, double seconds) {
    double const value = seconds > 0 ? amount / seconds : 0.0;
    std::ostringstream text;
    if (value >= 100) { text << std::fixed; }
    text << std::setprecision(value >= 100 ? 0 : 3) << value;
    return text.str();
}

void add_count(std::string& line, index_t count, std::string const& what) {
    if (count > 0) { line += (line.empty() ? "" : ", ") + std::to_string(count) + " " + what; }
}

std::chrono::milliseconds pause_of(ProgressStyle style) {
    switch (style) {
    case ProgressStyle::json: return std::chrono::seconds(5);
    case ProgressStyle::log: return std::chrono::seconds(30);
    default: return std::chrono::milliseconds(200);
    }
}

} // namespace

Progress::Progress(LogOptions const& log, std::vector<std::filesystem::path> const& files)
    : Progress(!log.quiet && ::isatty(STDERR_FILENO) == 1 ? ProgressStyle::line : ProgressStyle::none, files) {}

Progress::Progress(ProgressStyle style, std::vector<std::filesystem::path> const& files)
    : style_(style), files_(files), begin_(std::chrono::steady_clock::now()), last_(begin_) {
    for (auto const& file : files_) {
        std::error_code error;
        auto const size = std::filesystem::file_size(file, error);
        bytes_.push_back(error ? 0.0 : static_cast<double>(size));
    }
}

Progress::~Progress() { clear(); }

double Progress::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
}

double Progress::fraction_done(RunReport const& report) const {
    auto const all = std::accumulate(bytes_.begin(), bytes_.end(), 0.0);
    auto const done = std::min(static_cast<std::size_t>(report.source.files_done), files_.size());
    auto read = std::accumulate(bytes_.begin(), bytes_.begin() + static_cast<index_t>(done), 0.0);
    if (done < files_.size()) { read += std::min(bytes_read(files_[done]), bytes_[done]); }
    return all > 0 ? read / all : 0;
}

double Progress::seconds_left() const { return fraction_ > 0 ? seconds() * (1 - fraction_) / fraction_ : -1; }

void Progress::update(RunReport const& report) {
    auto const pause = pause_of(style_);
    auto const now = std::chrono::steady_clock::now();
    if (style_ == ProgressStyle::none || now - last_ < pause) { return; }
    last_ = now;
    fraction_ = std::max(fraction_, fraction_done(report));
    switch (style_) {
    case ProgressStyle::json: std::cerr << json(report) << std::endl; break;
    case ProgressStyle::log: log_line({}, line(report)); break;
    default: drawn_ = true; std::cerr << "\r\033[K" << line(report) << std::flush;
    }
}

void Progress::finish(RunReport const& report) {
    fraction_ = 1;
    if (style_ == ProgressStyle::json) { std::cerr << json(report) << std::endl; }
}

std::string Progress::line(RunReport const& report) const {
    double const elapsed = seconds();
    std::ostringstream text;
    if (files_.size() > 1) { text << report.source.files_done << " of " << files_.size() << " files, "; }
    text << report.source.records << " records, " << rate(static_cast<double>(report.source.records), elapsed)
         << " records/s, " << rate(static_cast<double>(report.positions), elapsed) << " tokens/s, waited "
         << std::lround(100 * wait_share(report, elapsed)) << " %";
    if (seconds_left() >= 0) {
        text << ", " << static_cast<int>(100 * fraction_) << " %, " << clock_time(seconds_left()) << " left";
    }
    return text.str();
}

std::string Progress::json(RunReport const& report) const {
    double const elapsed = seconds();
    nlohmann::ordered_json object = {{"seconds", elapsed},
                                     {"files_done", report.source.files_done},
                                     {"files", files_.size()},
                                     {"records", report.source.records},
                                     {"rows", report.rows},
                                     {"failed", report.failed},
                                     {"tokens", report.positions},
                                     {"tokens_per_second", static_cast<double>(report.positions) / elapsed},
                                     {"wait_share", wait_share(report, elapsed)},
                                     {"fraction", fraction_}};
    if (seconds_left() >= 0) { object["seconds_left"] = seconds_left(); }
    return object.dump();
}

double wait_share(RunReport const& report, double seconds) {
    return seconds > 0 ? std::clamp(1 - report.model_seconds / seconds, 0.0, 1.0) : 0.0;
}

void Progress::clear() {
    if (drawn_) { std::cerr << "\r\033[K" << std::flush; }
    drawn_ = false;
}

void LoggingListener::failure(UnitFailure const& failure) {
    progress_.clear();
    log_error(failure.error.message() + " [" + std::string(error_code_name(failure.error.code())) + "]");
}

void LoggingListener::progress(RunReport const& report) {
    throw_if_interrupted();
    progress_.update(report);
}

void log_summary(LogOptions const& log, RunReport const& report, double seconds) {
    auto const& source = report.source;
    std::ostringstream line;
    line << source.records << " records, " << report.rows << " rows, " << report.positions << " tokens in "
         << std::fixed << std::setprecision(2) << seconds << " s (" << std::defaultfloat
         << rate(static_cast<double>(report.positions), seconds) << " tokens/s)";
    log_line(log, line.str());

    std::string skipped;
    add_count(skipped, source.too_short, "shorter than --min-length");
    add_count(skipped, source.secondary, "secondary or supplementary");
    add_count(skipped, source.silent, "windows below --skip-silence");
    add_count(skipped, report.no_position, "without a token");
    if (!skipped.empty()) { log_line(log, "skipped: " + skipped); }

    std::string letters;
    add_count(letters, source.letters.lower_case, "lower case");
    add_count(letters, source.letters.n, "N");
    add_count(letters, source.letters.iupac, "other IUPAC codes");
    add_count(letters, source.letters.uracil, "U");
    if (!letters.empty()) {
        log_line(log, "letters under a policy: " + letters + " of " + std::to_string(source.letters.symbols));
    }
    if (report.failed > 0) { log_line(log, "failed: " + std::to_string(report.failed) + " records or files"); }
}

ExitCode exit_code(RunReport const& report) { return report.failed > 0 ? ExitCode::records_failed : ExitCode::done; }

std::string failed_text(index_t failed) {
    return failed > 0 ? ", and " + std::to_string(failed) + " records failed" : "";
}

} // namespace strandwave
