#include "pipelines/feed_packer.h"

#include <algorithm>
#include <utility>

namespace strandwave {

namespace {

/// The first take the storage over, which is all there is in a feed of one long unit.
template <class T>
void append_positions(std::vector<T>& all, std::vector<T>& more) {
    if (all.empty()) { return all.swap(more); }
    all.insert(all.end(), more.begin(), more.end());
}

} // namespace

void Feed::clear() {
    pieces.clear();
    tokens.clear();
    frames.clear();
    size = 0;
    marks.clear();
    unread.reset();
    results.clear();
    unfitted.reset();
    notices.clear();
    model_seconds = 0;
}

void Feed::append(UnitPiece& piece) {
    if (!piece.first && !pieces.empty()) { // the rest of the unit that the feed begins with
        pieces.back().length += piece.positions;
        pieces.back().last = piece.last;
    } else {
        pieces.push_back({piece.positions, 0, piece.first, piece.last}); // one lane: units come one after another
        units.resize(std::max(units.size(), pieces.size()));
    }
    units[pieces.size() - 1] = piece.unit; // copied, not moved: both keep the storage of their names
    append_positions(tokens, piece.tokens);
    append_positions(frames, piece.frames);
    size += piece.positions;
}

bool FeedPacker::pack(Feed& feed) {
    if (ended_) { return false; }
    feed.clear();
    fill(feed);
    feed.source = source_.counts();
    if (!feed.pieces.empty() && feed.pieces.front().first) { session_ = turn_++ % sessions_; }
    feed.session = session_;
    return true;
}

void FeedPacker::fill(Feed& feed) {
    if (std::exchange(held_, false)) { append(feed); }
    for (auto positions = room(feed); positions > 0; positions = room(feed)) {
        if (!source_.next(piece_, positions)) {
            ended_ = true;
            return;
        }
        if (piece_.mark) {
            feed.marks.push_back({feed.pieces.size(), std::move(*piece_.mark)});
            if (feed.pieces.empty()) { return; } // whoever waits hears that records are passed over
            continue;
        }
        if (piece_.failure) {
            open_positions_ = 0;
            feed.unread = UnitFailure{std::move(piece_.unit), std::move(*piece_.failure), piece_.file_broken};
            return;
        }
        held_ = !feed.pieces.empty() && !fits(feed);
        if (held_) { return; }
        append(feed);
    }
}

void FeedPacker::append(Feed& feed) {
    index_t const before = piece_.first ? 0 : open_positions_;
    open_positions_ = piece_.last ? 0 : before + piece_.positions;
    feed.append(piece_);
}

/// Positions that the feed can still take, the last of them where the unit may be cut.
index_t FeedPacker::room(Feed const& feed) const {
    index_t const left = chunk_ - feed.size;
    return cut_unit_ == 1 ? left : left - (open_positions_ + left) % cut_unit_;
}

bool FeedPacker::fits(Feed const& feed) const {
    bool const cut_here = sessions_ > 1 && piece_.first && !piece_.last;
    return feed.size + piece_.positions <= chunk_ && !cut_here;
}

} // namespace strandwave
