#include "pipelines/feed_packer.h"

#include <utility>

namespace strandwave {

void Feed::clear() {
    pieces.clear();
    units.clear();
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
        units.back() = std::move(piece.unit);
    } else {
        pieces.push_back({piece.positions, 0, piece.first, piece.last}); // one lane: units come one after another
        units.push_back(std::move(piece.unit));
    }
    tokens.insert(tokens.end(), piece.tokens.begin(), piece.tokens.end());
    frames.insert(frames.end(), piece.frames.begin(), piece.frames.end());
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
    while (room(feed) > 0) {
        if (!source_.next(piece_, room(feed))) {
            ended_ = true;
            return;
        }
        if (piece_.mark) {
            feed.marks.push_back({feed.pieces.size(), *piece_.mark});
            continue;
        }
        if (piece_.failure) {
            open_positions_ = 0;
            feed.unread = UnitFailure{std::move(piece_.unit), std::move(*piece_.failure)};
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
    return left - (open_positions_ + left) % cut_unit_;
}

bool FeedPacker::fits(Feed const& feed) const {
    bool const cut_here = sessions_ > 1 && piece_.first && !piece_.last;
    return feed.size + piece_.positions <= chunk_ && !cut_here;
}

} // namespace strandwave
