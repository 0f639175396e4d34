#include "pipelines/unit_runner.h"

#include "lib/core/buffer.h"

#include <algorithm>
#include <utility>

namespace strandwave {
namespace {

/// Keeps the rows of a feed. Calls write disjoint rows, so they need no lock.
class FeedPositions final : public PositionSink {
public:
    explicit FeedPositions(index_t width) : width_(width) {}

    void reserve(index_t rows) {
        if (rows * width_ > buffer_.size()) { buffer_ = Buffer<float>(rows * width_); }
    }
    void positions(index_t, index_t begin, View<float const, 2> hidden) override {
        for (index_t r = 0; r < hidden.rows; ++r) {
            std::copy_n(hidden.row(r), width_, buffer_.data() + (begin + r) * width_);
        }
    }
    View<float const, 2> rows(index_t begin, index_t count) const {
        return {buffer_.data() + begin * width_, count, width_};
    }

private:
    index_t width_;
    Buffer<float> buffer_;
};

class Runner {
public:
    Runner(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
           UnitRunOptions const& options, UnitListener& listener)
        : source_(source), model_(*model), options_(options), listener_(listener), positions_(model->hidden_width()),
          session_(model, threads, session_options()) {}

    RunReport run() {
        UnitPiece piece;
        while (source_.next(piece, options_.chunk - pending_)) {
            if (piece.failure) {
                feed();
                fail({std::move(piece.unit), std::move(*piece.failure)});
                continue;
            }
            if (pending_ + piece.positions > options_.chunk) { feed(); }
            append(piece);
            if (pending_ >= options_.chunk) { feed(); }
        }
        feed();
        finish_group();
        report_.source = source_.counts();
        return report_;
    }

private:
    SessionOptions session_options() {
        SessionOptions session;
        session.pooling = options_.pooling;
        session.layer = options_.layer;
        session.pool = !options_.positions;
        if (options_.positions) {
            session.sink = &positions_;
            session.sink_layers = {options_.layer};
        }
        return session;
    }

    void append(UnitPiece& piece) {
        pieces_.push_back({piece.positions, 0, piece.first, piece.last});
        units_.push_back(std::move(piece.unit));
        tokens_.insert(tokens_.end(), piece.tokens.begin(), piece.tokens.end());
        frames_.insert(frames_.end(), piece.frames.begin(), piece.frames.end());
        pending_ += piece.positions;
    }

    FeedInput input() const {
        auto const width = model_.config().frame_length;
        return {tokens_, width > 0 ? View<float const, 2>(frames_.data(), pending_, width) : View<float const, 2>()};
    }

    void feed() {
        if (!pieces_.empty()) {
            if (options_.positions) { positions_.reserve(pending_); }
            try {
                hand_out(session_.feed(input(), pieces_));
                report_.positions += pending_;
            } catch (Error const& error) {
                if (error.code() != ErrorCode::too_large || pieces_.size() > 1) { throw; }
                fail({units_.front(), Error(error.code(), units_.front().file + ": record " + units_.front().name +
                                                              ": " + error.message())});
            }
        }
        pieces_.clear();
        units_.clear();
        tokens_.clear();
        frames_.clear();
        pending_ = 0;
        report_.source = source_.counts();
        listener_.progress(report_);
    }

    void hand_out(std::vector<RecordResult> const& results) {
        auto result = results.begin();
        index_t begin = 0;
        for (std::size_t i = 0; i < pieces_.size(); ++i) {
            if (options_.positions) {
                listener_.positions(units_[i], positions_.rows(begin, pieces_[i].length), pieces_[i].last);
                begin += pieces_[i].length;
            }
            if (pieces_[i].last) { take(units_[i], *result++); }
        }
    }

    void take(Unit const& unit, RecordResult const& result) {
        if (result.length == 0) {
            ++report_.no_position;
        } else if (options_.positions) {
            ++report_.rows;
        } else if (options_.logits) {
            add(unit, result.length,
                model_.classify({result.pooled.data(), static_cast<index_t>(result.pooled.size())}));
        } else {
            add(unit, result.length, result.pooled);
        }
    }

    /// Units of a row come one behind the other: both strands, and with per_record all windows.
    void add(Unit const& unit, index_t positions, std::vector<float> const& vector) {
        bool const same = group_size_ > 0 && group_.unit.record == unit.record &&
                          (options_.per_record || group_.unit.start == unit.start);
        if (!same) {
            finish_group();
            group_.unit = unit;
            group_.positions = 0;
            sums_.assign(vector.size(), 0.0);
        }
        ++group_size_;
        group_.unit.end = unit.end;
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
        ++report_.rows;
        listener_.result(group_);
    }

    void fail(UnitFailure const& failure) {
        if (options_.per_record && failure.unit.record == group_.unit.record) { group_size_ = 0; }
        finish_group();
        ++report_.failed;
        listener_.failure(failure);
    }

    RecordSource& source_;
    Model const& model_;
    UnitRunOptions options_;
    UnitListener& listener_;
    FeedPositions positions_;
    Session session_;
    RunReport report_;

    // The feed that is being packed. One lane is enough: units come one after another.
    std::vector<Piece> pieces_;
    std::vector<Unit> units_; ///< of each piece
    std::vector<std::int32_t> tokens_;
    std::vector<float> frames_;
    index_t pending_ = 0; ///< positions

    // The row that is being averaged.
    UnitResult group_;
    std::vector<double> sums_;
    index_t group_size_ = 0;
};

} // namespace

RunReport run_units(RecordSource& source, std::shared_ptr<Model const> const& model, Threads& threads,
                    UnitRunOptions const& options, UnitListener& listener) {
    if (options.chunk < 1) { throw Error(ErrorCode::invalid_argument, "--chunk must be 1 or more"); }
    return Runner(source, model, threads, options, listener).run();
}

} // namespace strandwave
