#include "lib/model/executor.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <mutex>
#include <utility>

namespace strandwave {
namespace {

/// Rows that one thread takes at a time: enough that the padding behind them does not count.
constexpr index_t kGroupRows = 2048;

/// Consecutive pieces of a feed.
struct PieceRange {
    std::size_t first = 0;
    std::size_t count = 0;
    index_t begin = 0; ///< first position in the feed
    index_t rows = 0;
    bool whole = true; ///< every piece is a record of its own
};

/// Ranges of whole records of about kGroupRows each, and ranges of the other pieces between them.
std::vector<PieceRange> split(std::span<Piece const> pieces) {
    std::vector<PieceRange> ranges;
    index_t begin = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        bool const whole = pieces[i].first && pieces[i].last;
        bool const joins =
            !ranges.empty() && ranges.back().whole == whole && (!whole || ranges.back().rows < kGroupRows);
        if (!joins) { ranges.push_back({i, 0, begin, 0, whole}); }
        ++ranges.back().count;
        ranges.back().rows += pieces[i].length;
        begin += pieces[i].length;
    }
    return ranges;
}

/// Passes positions of a part of a feed on as positions of the feed.
class ShiftedSink : public PositionSink {
public:
    explicit ShiftedSink(PositionSink* sink) : sink_(sink) {}
    void shift(index_t begin) { begin_ = begin; }
    void positions(index_t layer, index_t begin, View<float const, 2> hidden) override {
        sink_->positions(layer, begin_ + begin, hidden);
    }

private:
    PositionSink* sink_;
    index_t begin_ = 0;
};

/// For models of few layers, where a wavefront has no place for all threads: whole records are shared out among the
/// threads, each of which runs its own alone. Records in pieces still go through the wavefront.
class RecordParallelExecutor : public CpuExecutor {
public:
    RecordParallelExecutor(std::shared_ptr<Model const> const& model, Threads& threads, SessionOptions const& options)
        : threads_(threads), wavefront_(model, threads, options, threads.count()) {
        for (int i = 0; i < threads.count(); ++i) {
            free_.push_back(std::make_unique<Alone>(model, threads, options));
        }
    }

    std::vector<RecordResult> feed(FeedInput input, std::span<Piece const> pieces) override {
        auto const ranges = split(pieces);
        std::vector<std::vector<RecordResult>> results(ranges.size());
        for (std::size_t i = 0; i < ranges.size();) {
            std::size_t end = i;
            while (end < ranges.size() && ranges[end].whole) {
                ++end;
            }
            if (end > i) {
                threads_.parallel_for(static_cast<index_t>(end - i), [&](index_t k) {
                    auto const range = i + static_cast<std::size_t>(k);
                    results[range] = run_alone(input, pieces, ranges[range]);
                });
                i = end;
            } else {
                results[i] = wavefront_.feed(input, pieces, ranges[i]);
                ++i;
            }
        }
        std::vector<RecordResult> all;
        for (auto& part : results) {
            std::move(part.begin(), part.end(), std::back_inserter(all));
        }
        return all;
    }

    LaneState save(index_t lane) const override { return wavefront_.executor->save(lane); }
    void restore(index_t lane, LaneState const& state) override { wavefront_.executor->restore(lane, state); }

private:
    /// An executor whose sink can be shifted.
    struct Alone {
        Alone(std::shared_ptr<Model const> const& model, Threads& threads, SessionOptions options, int workers = 1)
            : sink(options.sink) {
            if (options.sink != nullptr) { options.sink = &sink; }
            executor = make_causal_executor(model, threads, options, workers);
        }
        ShiftedSink sink;
        std::unique_ptr<CpuExecutor> executor;

        std::vector<RecordResult> feed(FeedInput const& input, std::span<Piece const> pieces, PieceRange const& range) {
            sink.shift(range.begin);
            FeedInput part;
            if (input.frames.empty()) {
                part.tokens =
                    input.tokens.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.rows));
            } else {
                part.frames = input.frames.rows_from(range.begin, range.rows);
            }
            return executor->feed(part, pieces.subspan(range.first, range.count));
        }
    };

    std::vector<RecordResult> run_alone(FeedInput const& input, std::span<Piece const> pieces,
                                        PieceRange const& range) {
        auto alone = take();
        std::vector<RecordResult> results;
        std::exception_ptr failure;
        try {
            results = alone->feed(input, pieces, range);
        } catch (...) { failure = std::current_exception(); }
        {
            std::lock_guard const lock(mutex_);
            free_.push_back(std::move(alone));
        }
        if (failure) { std::rethrow_exception(failure); }
        return results;
    }

    std::unique_ptr<Alone> take() {
        std::lock_guard const lock(mutex_);
        auto alone = std::move(free_.back());
        free_.pop_back();
        return alone;
    }

    Threads& threads_;
    Alone wavefront_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Alone>> free_; ///< one a thread
};

} // namespace

std::unique_ptr<CpuExecutor> make_record_parallel_executor(std::shared_ptr<Model const> const& model, Threads& threads,
                                                           SessionOptions const& options) {
    return std::make_unique<RecordParallelExecutor>(model, threads, options);
}

} // namespace strandwave
