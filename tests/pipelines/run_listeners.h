#pragma once

#include "pipelines/unit_runner.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {

/// Keeps all that a run says.
class Recorder final : public UnitListener {
public:
    void result(UnitResult const& result) override { results.push_back(result); }
    void failure(UnitFailure const& failure) override { failures.push_back(failure); }
    void positions(Unit const&, View<float const, 2> rows, bool last) override {
        if (!open_) { hidden.emplace_back(); }
        for (index_t r = 0; r < rows.rows; ++r) {
            hidden.back().insert(hidden.back().end(), rows.row(r), rows.row(r) + rows.cols);
        }
        open_ = !last;
    }

    std::vector<UnitResult> results;
    std::vector<UnitFailure> failures;
    std::vector<std::vector<float>> hidden;

private:
    bool open_ = false;
};

/// Notes every call in order, and throws at the one that is asked for.
class Diary final : public UnitListener {
public:
    void result(UnitResult const& result) override { note("row " + result.unit.name); }
    void failure(UnitFailure const& failure) override { note("failed " + failure.unit.name); }
    void positions(Unit const& unit, View<float const, 2> rows, bool last) override {
        note(std::to_string(rows.rows) + (last ? " last of " : " of ") + unit.name);
    }
    void block_begin(SourceMark const& mark) override { note("begin " + std::to_string(mark.block)); }
    void block_end(SourceMark const& mark, BlockTally const& tally) override {
        note("end " + std::to_string(mark.block) + counts(tally));
    }
    void file_end(SourceMark const& mark, BlockTally const& tally) override {
        note("file " + std::to_string(mark.file_index) + counts(tally));
    }
    void progress(RunReport const& report) override {
        note("progress " + std::to_string(report.source.records) + " " + std::to_string(report.positions));
    }

    std::vector<std::string> entries;
    std::string stop_at;

private:
    static std::string counts(BlockTally const& tally) {
        return ": " + std::to_string(tally.rows) + " rows, " + std::to_string(tally.failed) + " failed";
    }
    void note(std::string entry) {
        if (inside_.exchange(true)) { throw std::logic_error("two calls at a time"); }
        entries.push_back(std::move(entry));
        inside_ = false;
        if (entries.back() == stop_at) { throw std::runtime_error(stop_at); }
    }
    std::atomic<bool> inside_{false};
};

} // namespace strandwave
