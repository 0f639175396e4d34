#pragma once

#include "apps/commands.h"
#include "apps/common_options.h"
#include "pipelines/unit_runner.h"

#include <chrono>
#include <filesystem>
#include <vector>

namespace strandwave {

/// One line on stderr that is written over and over, with records/s, tokens/s and the time left; only where stderr is
/// a terminal and --quiet was not given.
class Progress {
public:
    Progress(LogOptions const& log, std::vector<std::filesystem::path> const& files);
    ~Progress(); ///< clears the line

    void update(RunReport const& report); ///< cheap: draws at most five times a second
    void clear();                         ///< before another line is written to stderr
    double seconds() const;               ///< since construction

private:
    double fraction_done(RunReport const& report) const; ///< 0 if it cannot be known

    bool shown_ = false;
    bool drawn_ = false;
    double fraction_ = 0; ///< the largest so far: a file may be closed before its last feed is reported
    std::vector<std::filesystem::path> files_;
    std::vector<double> bytes_;
    std::chrono::steady_clock::time_point begin_, last_;
};

/// Reports failures as they come and keeps the progress line; the base of every command's listener.
class LoggingListener : public UnitListener {
public:
    explicit LoggingListener(Progress& progress) : progress_(progress) {}
    void failure(UnitFailure const& failure) override;
    void progress(RunReport const& report) override; ///< throws Interrupted after SIGINT

private:
    Progress& progress_;
};

/// Records, letters that each policy touched, skipped, failed, seconds and tokens/s on stderr.
void log_summary(LogOptions const& log, RunReport const& report, double seconds);
ExitCode exit_code(RunReport const& report);

} // namespace strandwave
