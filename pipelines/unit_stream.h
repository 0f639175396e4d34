#pragma once

#include "pipelines/record_source.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {

/// Positions of a unit that are ready: one of the two vectors is used.
struct Encoded {
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
};

/// How units are cut; the same for all files but for `window` and `stride`, which may depend on the sample rate.
struct UnitShape {
    index_t window = 0; ///< symbols; 0 = the whole record
    index_t stride = 0;
    bool whole_units = false;
    bool gather = false; ///< units lie in memory even without a window
    StrandPolicy strand = StrandPolicy::forward;
    index_t min_length = 1;
    index_t limit = 0;
    index_t max_unit_symbols = 0;
    index_t frame_length = 0;
    int mates = 1; ///< records of the file that are one record of the run
    double silence_dbfs = 0;
    bool marks = false;
    std::function<bool(index_t)> wanted = {}; ///< by block
};

/// The units of one file (or of one channel of it).
class UnitStream {
public:
    virtual ~UnitStream() = default;
    virtual bool next(UnitPiece& piece, index_t max_positions) = 0;
    virtual SourceMark file_end() const = 0; ///< behind the last piece
};

/// Cuts the records of `Source` into units and encodes them. Source has
///   Run                                            symbols of one record: `name`, `start` + `offset` of the first in
///                                                  the source record, `symbols`, `last`; what SequenceChunk has
///   Result<ReadOutcome> read(Run&)                 the next run of the file, in storage that is used again and again
///   void begin(Encoded&)                           a unit starts, in empty vectors
///   Result<void> encode(Symbols const&, index_t count, Encoded&)
///   void end(Encoded&)                             a unit is over
///   void reverse(Encoded&)                         a unit that is over, to its reverse complement
///   index_t skipped_records() const
///   double sample_rate_hz() const                  0 for DNA
///   bool silent(Symbols const&, index_t count, double dbfs) const
template <class Source>
class CuttingStream final : public UnitStream {
public:
    using Run = typename Source::Run;
    using Symbols = decltype(Run::symbols); ///< std::string or std::vector<float>

    /// `first` is the number of its first record, and of its first block, in the file.
    CuttingStream(std::string file, index_t file_index, index_t first, Source source, UnitShape shape,
                  SourceCounts& counts)
        : source_(std::move(source)), shape_(std::move(shape)), counts_(counts), pairs_(first), last_block_(first - 1) {
        unit_.file = std::move(file);
        unit_.name = unit_.file;
        unit_.file_index = file_index;
        unit_.sample_rate_hz = source_.sample_rate_hz();
        unit_.ordinal = -1;
        unit_.paired = shape_.mates > 1;
        unit_.mate = shape_.mates - 1;
    }

    SourceMark file_end() const override {
        SourceMark mark;
        if (block_wanted_) { mark = block_; }
        mark.kind = SourceMark::Kind::file_end;
        mark.file_index = unit_.file_index;
        mark.block = last_block_;
        mark.ordinal = pairs_;
        mark.broken = file_broken_;
        return mark;
    }

    bool next(UnitPiece& piece, index_t max_positions) override {
        if (marks_.empty() && !failure_) { advance(max_positions); }
        if (!marks_.empty()) {
            piece = {};
            piece.mark = marks_.front();
            marks_.pop_front();
        } else if (failure_) {
            fail(piece);
        } else if (unit_open_) {
            give(piece, shape_.whole_units ? available() : std::min(available(), max_positions));
        } else {
            return false;
        }
        return true;
    }

private:
    index_t available() const {
        auto const positions = shape_.frame_length > 0
                                   ? ready_.frames.size() / static_cast<std::size_t>(shape_.frame_length)
                                   : ready_.tokens.size();
        return static_cast<index_t>(positions) - given_;
    }

    index_t held() const { return static_cast<index_t>(held_.size()); }

    /// Makes positions of the next unit, or of the open one, ready; or marks; or a failure; or nothing, at the end.
    void advance(index_t max_positions) {
        try {
            if (!unit_open_ && !ended_) { ended_ = !open_unit() && !std::exchange(paused_, false); }
            if (unit_open_ && !unit_complete_) { stream_positions(max_positions); }
        } catch (Error const& error) { failure_ = error; }
    }

    /// Reads until `count` symbols of the record are held, or all that there are.
    void hold(index_t count) {
        while (record_open_ && !record_ended_ && held() < count) {
            read_on();
            if (held_.empty()) {
                held_.swap(run_.symbols);
            } else {
                held_.insert(held_.end(), run_.symbols.begin(), run_.symbols.end());
            }
        }
    }

    /// The next run of the file, into run_; false at the end.
    bool read() {
        auto outcome = source_.read(run_);
        if (!outcome) {
            file_broken_ = true;
            throw outcome.error();
        }
        if (*outcome == ReadOutcome::end_of_stream) {
            file_broken_ = !record_ended_;
            if (file_broken_) { throw Error(ErrorCode::truncated_input, unit_.file + ": ends inside a record"); }
            return false;
        }
        record_ended_ = run_.last;
        return true;
    }

    /// Reads the next run of the record that is open.
    void read_on() {
        read();
        count_symbols();
    }

    void count_symbols() {
        auto const symbols = static_cast<index_t>(run_.symbols.size());
        counts_.source_symbols += symbols;
        block_.symbols += symbols;
    }

    /// Drops symbols from the front of what is held and of what is to come.
    void drop(index_t count) {
        held_start_ += count;
        for (;;) {
            auto const now = std::min(count, held());
            held_.erase(held_.begin(), held_.begin() + now);
            count -= now;
            if (count == 0 || record_ended_) { return; }
            hold(1);
        }
    }

    /// False at the end of the file, or, `paused_`, where records are passed over and marks are to be told.
    bool open_record() {
        for (;;) {
            bool const enough = shape_.limit > 0 && counts_.records >= shape_.limit && next_mate() == 0;
            if (file_broken_ || enough) { return false; }
            while (!record_ended_) {
                read_on();
            }
            if (!read()) {
                count_secondary();
                end_block();
                return false;
            }
            begin_record();
            if (record_open_ && is_long_enough()) {
                number_record();
                return true;
            }
            record_open_ = false;
            paused_ = !marks_.empty();
            if (paused_) { return false; }
        }
    }

    bool is_long_enough() {
        hold(shape_.min_length);
        if (held() >= shape_.min_length) { return true; }
        ++counts_.too_short;
        ++block_.too_short;
        return false;
    }

    int next_mate() const { return unit_.mate + 1 < shape_.mates ? unit_.mate + 1 : 0; }

    /// A record whose first run is run_.
    void begin_record() {
        unit_.mate = next_mate();
        if (unit_.mate == 0) { begin_pair(); }
        count_secondary();
        count_symbols();
        record_open_ = block_wanted_ && !pair_failed_;
        unit_.record = -1;
        unit_.name.swap(run_.name);
        held_start_ = run_.start + run_.offset;
        window_end_ = -1;
        held_.swap(run_.symbols);
    }

    /// A record and its mates, if it has any; the next block where the one before is full.
    void begin_pair() {
        if (block_.block < 0 || block_pairs_ >= kBlockRecords || block_.symbols >= kBlockSymbols) {
            end_block();
            block_pairs_ = 0;
            block_ = place(SourceMark::Kind::block_end);
            block_.block = ++last_block_;
            block_wanted_ = !shape_.wanted || shape_.wanted(last_block_);
            using Kind = SourceMark::Kind;
            if (shape_.marks) { marks_.push_back(place(block_wanted_ ? Kind::block_begin : Kind::block_passed)); }
        }
        ++block_pairs_;
        unit_.ordinal = pairs_++;
        pair_failed_ = false;
        pair_record_ = -1;
    }

    void end_block() {
        if (block_.block < 0) { return; }
        if (shape_.marks && block_wanted_) {
            block_.ordinal = pairs_;
            marks_.push_back(block_);
        }
        block_ = {};
    }

    SourceMark place(SourceMark::Kind kind) const {
        SourceMark mark;
        mark.kind = kind;
        mark.file_index = unit_.file_index;
        mark.block = last_block_;
        mark.ordinal = pairs_;
        return mark;
    }

    /// Those in front of the record that was just begun, or of the end.
    void count_secondary() {
        index_t const seen = source_.skipped_records();
        block_.secondary += seen - skipped_seen_;
        if (block_wanted_) { counts_.secondary += seen - skipped_seen_; }
        skipped_seen_ = seen;
    }

    /// A record of the run, the same for all mates.
    void number_record() {
        if (pair_record_ < 0) {
            pair_record_ = counts_.records++;
            ++block_.records;
        }
        unit_.record = pair_record_;
    }

    bool open_unit() {
        if (reverse_next_) {
            read_reverse();
            reverse_next_ = false;
            return true;
        }
        while (record_open_ || open_record()) {
            if (shape_.window > 0 ? open_window() : open_whole()) { return true; }
            record_open_ = false;
        }
        return false;
    }

    bool open_window() {
        for (;;) {
            bool const first = window_end_ < 0;
            if (!first) { drop(shape_.stride); }
            check_fits(shape_.window);
            hold(shape_.window);
            if (!first && (held_start_ + held() <= window_end_ || 2 * held() < shape_.window)) { return false; }
            auto const length = std::min(shape_.window, held());
            window_end_ = held_start_ + length;
            if (shape_.silence_dbfs < 0 && source_.silent(held_, length, shape_.silence_dbfs)) {
                ++counts_.silent;
                ++block_.silent;
                continue;
            }
            gather(length);
            return true;
        }
    }

    bool open_whole() {
        if (window_end_ >= 0) { return false; }
        window_end_ = held_start_;
        if (!shape_.gather) {
            unit_.start = unit_.end = held_start_;
            start_positions();
            return true;
        }
        hold(shape_.max_unit_symbols > 0 ? shape_.max_unit_symbols + 1 : std::numeric_limits<index_t>::max());
        check_fits(held());
        gather(held());
        return true;
    }

    void check_fits(index_t symbols) const {
        auto const limit = shape_.max_unit_symbols;
        if (limit == 0 || symbols <= limit) { return; }
        throw Error(ErrorCode::too_large, unit_.file + ": record " + unit_.name + " has to lie whole in memory with " +
                                              "this model and these options, but only " + std::to_string(limit) +
                                              " bases or samples fit; cut it with --window " + std::to_string(limit) +
                                              " or less, or raise --max-memory");
    }

    /// Encodes the first `length` held symbols as a unit.
    void gather(index_t length) {
        unit_.start = held_start_;
        unit_.end = held_start_ + length;
        start_positions();
        encode(length);
        source_.end(ready_);
        unit_complete_ = true;
        if (shape_.strand == StrandPolicy::reverse) { read_reverse(); }
        reverse_next_ = shape_.strand == StrandPolicy::both;
    }

    void encode(index_t count) {
        auto const done = source_.encode(held_, count, ready_);
        if (!done) {
            auto const base = held_start_ > 0 ? ", counted from position " + std::to_string(held_start_) : "";
            throw Error(done.error().code(),
                        unit_.file + ": record " + unit_.name + base + ": " + done.error().message());
        }
    }

    void start_positions() {
        ready_.tokens.clear();
        ready_.frames.clear();
        source_.begin(ready_);
        unit_.reverse = unit_begun_ = unit_complete_ = false;
        unit_open_ = true;
        given_ = 0;
    }

    /// The unit in ready_ becomes the same unit on the other strand.
    void read_reverse() {
        source_.reverse(ready_);
        unit_.reverse = unit_open_ = true;
        unit_begun_ = false;
        given_ = 0;
    }

    /// A unit that is not gathered: encodes until more than `wanted` positions are there, or the record is over.
    void stream_positions(index_t wanted) {
        while (available() <= wanted && !unit_complete_) {
            forget_given();
            hold(1);
            encode(held());
            held_start_ += held();
            held_.clear();
            if (record_ended_) {
                unit_.end = held_start_;
                source_.end(ready_);
                unit_complete_ = true;
            }
        }
    }

    void give(UnitPiece& piece, index_t count) {
        bool const last = unit_complete_ && count == available();
        piece.unit = unit_;
        piece.first = !unit_begun_;
        piece.last = last;
        piece.positions = count;
        piece.failure.reset();
        piece.mark.reset();
        piece.tokens.clear();
        piece.frames.clear();
        if (shape_.frame_length > 0) {
            give_ready(ready_.frames, piece.frames, count, shape_.frame_length);
        } else {
            give_ready(ready_.tokens, piece.tokens, count, 1);
        }
        unit_begun_ = true;
        unit_open_ = !last;
    }

    /// `to` takes the storage over where little stays behind, and else a copy.
    template <class T>
    void give_ready(std::vector<T>& ready, std::vector<T>& to, index_t count, index_t width) {
        auto const begin = ready.begin() + given_ * width;
        auto const end = begin + count * width;
        if (given_ > 0 || reverse_next_ || ready.end() - end > end - begin) {
            to.assign(begin, end);
            given_ += count;
            return;
        }
        to.assign(end, ready.end());
        ready.resize(static_cast<std::size_t>(count * width));
        ready.swap(to);
    }

    /// Keeps a stream's memory bounded.
    void forget_given() {
        auto const forget = [this](auto& ready, index_t width) {
            ready.erase(ready.begin(), ready.begin() + given_ * width);
        };
        if (shape_.frame_length > 0) {
            forget(ready_.frames, shape_.frame_length);
        } else {
            forget(ready_.tokens, 1);
        }
        given_ = 0;
    }

    /// The rest of the record is passed over by open_record.
    void fail(UnitPiece& piece) {
        piece = {};
        piece.unit = unit_;
        bool const torn_pair = unit_.mate < shape_.mates - 1 && pair_record_ >= 0;
        if (torn_pair) {
            piece.unit.record = pair_record_;
        } else if (!record_open_) {
            piece.unit.record = piece.unit.ordinal = -1;
        }
        piece.failure = std::move(failure_);
        piece.file_broken = file_broken_;
        failure_.reset();
        unit_open_ = false;
        reverse_next_ = false;
        record_open_ = false;
        pair_failed_ = true;
    }

    Source source_;
    UnitShape shape_;
    SourceCounts& counts_;

    Run run_;                ///< as it was read last, or storage to use again
    Symbols held_;           ///< symbols of the record that are not dropped or encoded yet
    index_t held_start_ = 0; ///< offset of held_[0] in the source record
    bool record_open_ = false;
    bool record_ended_ = true; ///< all its symbols are read
    bool file_broken_ = false;
    bool ended_ = false;
    bool paused_ = false;
    index_t window_end_ = -1; ///< of the record's last unit; -1 before its first

    // Pairs (records, where there are no mates) and blocks.
    index_t pairs_ = 0; ///< begun
    bool pair_failed_ = false;
    index_t pair_record_ = -1; ///< number of the pair in the run, once one of its mates is not too short
    index_t skipped_seen_ = 0;
    index_t last_block_ = -1;
    bool block_wanted_ = true;
    index_t block_pairs_ = 0;
    SourceMark block_;             ///< the open one, counting; its number is -1 if none is
    std::deque<SourceMark> marks_; ///< to be given
    std::optional<Error> failure_; ///< to be given, behind the marks

    Unit unit_;
    bool unit_open_ = false;
    bool unit_begun_ = false;    ///< a piece was given
    bool unit_complete_ = false; ///< all its positions are in ready_
    bool reverse_next_ = false;  ///< the same unit comes again, on the other strand
    Encoded ready_;
    index_t given_ = 0; ///< positions of ready_ that were given
};

} // namespace strandwave
