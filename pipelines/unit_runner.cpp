#include "pipelines/unit_runner.h"

#include "pipelines/feed_packer.h"
#include "pipelines/feed_runner.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace strandwave {
namespace {

/// Gives what came back to the listener: averages strands and windows, counts.
class HandOut {
public:
    HandOut(Models models, UnitRunOptions const& options, UnitListener& listener)
        : model_(*models.front()), models_(static_cast<double>(models.size())), options_(options), listener_(listener) {
    }

    void take(Feed const& feed) {
        if (options_.notice) { std::for_each(feed.notices.begin(), feed.notices.end(), options_.notice); }
        take_results(feed);
        if (!feed.unfitted) { report_.positions += feed.size; }
        report_.source = feed.source;
        report_.model_seconds += feed.model_seconds / models_;
        listener_.progress(report_);
        if (feed.unread) { fail(*feed.unread); }
    }

    RunReport finish(SourceCounts const& source) {
        finish_group();
        report_.source = source;
        return report_;
    }

private:
    void take_results(Feed const& feed) {
        auto result = feed.results.begin();
        index_t begin = 0;
        auto mark = feed.marks.begin();
        auto const give_marks = [&](std::size_t pieces) {
            for (; mark != feed.marks.end() && mark->pieces == pieces; ++mark) {
                give(mark->mark);
            }
        };
        for (std::size_t i = 0; i < feed.pieces.size(); ++i) {
            give_marks(i);
            if (feed.unfitted) { // there is no other piece
                fail(*feed.unfitted);
                continue;
            }
            auto const& piece = feed.pieces[i];
            if (options_.positions) {
                index_t const width = model_.hidden_width();
                listener_.positions(feed.units[i], {feed.positions.data() + begin * width, piece.length, width},
                                    piece.last);
                begin += piece.length;
            }
            if (piece.last) { take_result(feed.units[i], *result++); }
        }
        give_marks(feed.pieces.size());
    }

    void give(SourceMark const& mark) {
        finish_group();
        switch (mark.kind) {
        case SourceMark::Kind::block_passed: return;
        case SourceMark::Kind::block_begin: listener_.block_begin(mark); return;
        case SourceMark::Kind::block_end: listener_.block_end(mark, std::exchange(tally_, {})); return;
        case SourceMark::Kind::file_end: listener_.file_end(mark, std::exchange(tally_, {})); return;
        }
    }

    void take_result(Unit const& unit, RecordResult const& result) {
        if (result.length == 0) {
            ++report_.no_position;
            ++tally_.no_position;
        } else if (options_.positions) {
            count_row(result.length);
        } else if (options_.logits) {
            add(unit, result.length,
                model_.classify({result.pooled.data(), static_cast<index_t>(result.pooled.size())}));
        } else {
            add(unit, result.length, result.pooled);
        }
    }

    /// All units of its record make one row.
    bool one_row(Unit const& unit) const { return options_.per_record || unit.paired; }

    void count_row(index_t positions) {
        ++report_.rows;
        ++tally_.rows;
        tally_.positions += positions;
    }

    /// Units of a row come one behind the other: both strands, and with per_record all windows and mates.
    void add(Unit const& unit, index_t positions, std::vector<float> const& vector) {
        bool const same =
            group_size_ > 0 && group_.unit.record == unit.record && (one_row(unit) || group_.unit.start == unit.start);
        if (!same) {
            finish_group();
            group_.unit = unit;
            group_.positions = 0;
            mates_begin_ = 0;
            sums_.assign(vector.size(), 0.0);
        }
        if (unit.mate != group_.unit.mate) { mates_begin_ = group_.unit.end; }
        group_.unit.mate = unit.mate;
        ++group_size_;
        group_.unit.end = mates_begin_ + unit.end;
        group_.positions += positions;
        std::transform(vector.begin(), vector.end(), sums_.begin(), sums_.begin(),
                       [](float value, double sum) { return sum + static_cast<double>(value); });
    }

    void finish_group() {
        if (group_size_ == 0) { return; }
        group_.vector.resize(sums_.size());
        std::transform(sums_.begin(), sums_.end(), group_.vector.begin(),
                       [this](double sum) { return static_cast<float>(sum / static_cast<double>(group_size_)); });
        group_size_ = 0;
        count_row(group_.positions);
        listener_.result(group_);
    }

    void fail(UnitFailure const& failure) {
        if (one_row(failure.unit) && failure.unit.record == group_.unit.record) { group_size_ = 0; }
        finish_group();
        ++report_.failed;
        ++tally_.failed;
        listener_.failure(failure);
    }

    Model const& model_;
    double models_; ///< how many
    UnitRunOptions const& options_;
    UnitListener& listener_;
    RunReport report_;
    BlockTally tally_;

    // The row that is being averaged.
    UnitResult group_;
    std::vector<double> sums_;
    index_t group_size_ = 0;
    index_t mates_begin_ = 0; ///< where the mate that was added last begins in the row
};

} // namespace

RunReport run_units(RecordSource& source, Models models, Threads& threads, UnitRunOptions const& options,
                    UnitListener& listener) {
    if (models.empty()) { throw Error(ErrorCode::invalid_argument, "a run needs a model"); }
    if (options.chunk < 1) { throw Error(ErrorCode::invalid_argument, "--chunk must be 1 or more"); }
    // On a GPU, so that a record's bits do not depend on where feeds begin and end.
    index_t const cut_unit = models.front()->device().is_gpu() ? kChunkUnit : 1;
    FeedPacker packer(source, options.chunk, models.size(), cut_unit);
    HandOut hand_out(models, options, listener);
    std::vector<Feed> feeds(kFeedsPerModel * models.size());
    FeedRunner runner(models, threads, options); // behind the feeds: when it is gone, none of them runs
    auto const feed = [&feeds](int place) -> Feed& { return feeds[static_cast<std::size_t>(place)]; };
    // FeedRunner::finish must not be found by the threads that it waits for.
    std::optional<Threads> apart;
    if (models.size() > 1) { apart.emplace(threads.count()); }
    (apart ? *apart : threads)
        .pipeline(
            static_cast<int>(feeds.size()), [&](int place) { return packer.pack(feed(place)); },
            [&](int place) { runner.start(feed(place)); },
            [&](int place) {
                FeedRunner::finish(feed(place));
                hand_out.take(feed(place));
            });
    return hand_out.finish(source.counts());
}

} // namespace strandwave
