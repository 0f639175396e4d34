#pragma once

#include "kernels/selective_scan/selective_scan.h"

namespace strandwave {

/// The CPU kernels walk tiles of channels over pieces of a segment's rows, in the order of time. What they keep are the
/// states before each piece: [pieces of all segments][tiles][d_state][kScanTile].
inline constexpr index_t kScanPiece = 64;
inline constexpr index_t kScanTile = 16;

inline index_t scan_pieces(index_t length) { return (length + kScanPiece - 1) / kScanPiece; }
inline index_t scan_tiles(index_t d_inner) { return (d_inner + kScanTile - 1) / kScanTile; }

/// Floats that are kept before a piece.
inline index_t scan_kept_before(index_t d_inner, index_t d_state) { return scan_tiles(d_inner) * d_state * kScanTile; }

/// The CPU kernel; shapes are checked. Best target of those compiled in (Highway).
void selective_scan_cpu(SelectiveScanArgs const& args);

} // namespace strandwave
