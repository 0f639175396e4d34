#pragma once

#include "apps/commands.h"
#include "apps/common_options.h"
#include "pipelines/unit_runner.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace strandwave {

/// How a run tells on stderr how far it is.
enum class ProgressStyle : std::uint8_t {
    none,
    line, ///< one line that is written over and over, five times a second
    log,  ///< a line every half minute
    json  ///< an object a line, every five seconds and at the end
};

/// Tells files, records, records/s, tokens/s, the share of the time that the model waited for data, and the time left.
class Progress {
public:
    /// A line where stderr is a terminal, else nothing; nothing with --quiet.
    Progress(LogOptions const& log, std::vector<std::filesystem::path> const& files);
    Progress(ProgressStyle style, std::vector<std::filesystem::path> const& files);
    ~Progress(); ///< clears the line

    void update(RunReport const& report); ///< cheap: mostly does nothing
    void finish(RunReport const& report); ///< the last word of json
    void clear();                         ///< before another line is written to stderr
    double seconds() const;               ///< since construction

private:
    double fraction_done(RunReport const& report) const; ///< 0 if it cannot be known
    std::string line(RunReport const& report) const;
    std::string json(RunReport const& report) const;
    double seconds_left() const; ///< below 0 if it cannot be known

    ProgressStyle style_ = ProgressStyle::none;
    bool drawn_ = false;
    double fraction_ = 0; ///< the largest so far: a file may be closed before its last feed is reported
    std::vector<std::filesystem::path> files_;
    std::vector<double> bytes_;
    std::chrono::steady_clock::time_point begin_, last_;
};

/// Of `seconds`, the share in which no model computed. 0 to 1.
double wait_share(RunReport const& report, double seconds);

/// Reports failures as they come and keeps the progress line; the base of every command's listener.
class LoggingListener : public UnitListener {
public:
    explicit LoggingListener(Progress& progress) : progress_(progress) {}
    void failure(UnitFailure const& failure) override;
    void progress(RunReport const& report) override; ///< throws Interrupted after a signal

private:
    Progress& progress_;
};

/// Records, letters that each policy touched, skipped, failed, seconds and tokens/s on stderr.
void log_summary(LogOptions const& log, RunReport const& report, double seconds);
ExitCode exit_code(RunReport const& report);

/// ", and N records failed" behind what there is too little of; nothing of none.
std::string failed_text(index_t failed);

} // namespace strandwave
