#pragma once

#include "lib/core/buffer.h"
#include "lib/model/session.h"
#include "pipelines/record_source.h"
#include "pipelines/unit_runner.h"

#include <cstdint>
#include <future>
#include <optional>
#include <string>
#include <vector>

namespace strandwave {

/// A mark of the source behind so many pieces of a feed.
struct PlacedMark {
    std::size_t pieces = 0;
    SourceMark mark;
};

/// What a model is fed at once, and what came back. Kept for reuse.
struct Feed {
    std::vector<Piece> pieces;
    std::vector<Unit> units; ///< of each piece; behind those stand old ones, whose storage is used again
    std::vector<std::int32_t> tokens;
    std::vector<float> frames;
    index_t size = 0;                    ///< positions
    std::size_t session = 0;             ///< which one it is for
    std::vector<PlacedMark> marks;       ///< in order
    std::optional<UnitFailure> unread;   ///< a unit behind the pieces and marks that could not be read
    SourceCounts source;                 ///< what was read when the feed was packed
    std::vector<RecordResult> results;   ///< of the records that ended
    std::optional<UnitFailure> unfitted; ///< the feed's only unit is too large for the Session; no results
    Buffer<float> positions;             ///< [size, hidden_width] if wanted, or longer
    std::vector<std::string> notices;    ///< of the Session
    double model_seconds = 0;            ///< that the Session took
    std::future<void> done;              ///< not valid where the feed needs no waiting for

    void clear();
    void append(UnitPiece& piece);
};

/// Packs units into feeds of up to `chunk` positions, more only for a unit that is larger and has to be whole. A unit
/// that cannot be read ends a feed, so that its failure is told in its place.
///
/// Of several sessions a feed goes to the next one in turn, but for one that goes on with a unit: it goes where that
/// unit's state is. Therefore a unit is then cut only if it is longer than a feed; else feeds of short units, each
/// going on with the last unit of the one before, would all go to one session.
class FeedPacker {
public:
    /// `cut_unit`: units are cut at multiples of so many positions, if a feed has as many.
    FeedPacker(RecordSource& source, index_t chunk, std::size_t sessions, index_t cut_unit = 1)
        : source_(source), chunk_(chunk), sessions_(sessions), cut_unit_(chunk < cut_unit ? 1 : cut_unit) {}

    /// False behind the last feed. That one, and one that ends at a failure, may be empty.
    bool pack(Feed& feed);

private:
    void fill(Feed& feed);
    void append(Feed& feed);
    index_t room(Feed const& feed) const;
    bool fits(Feed const& feed) const;

    RecordSource& source_;
    index_t chunk_;
    std::size_t sessions_;
    index_t cut_unit_;
    index_t open_positions_ = 0; ///< packed of a unit that goes on
    std::size_t session_ = 0;    ///< of the last feed
    std::size_t turn_ = 0;       ///< feeds that could go to any session
    UnitPiece piece_;
    bool held_ = false; ///< piece_ waits for the next feed
    bool ended_ = false;
};

} // namespace strandwave
