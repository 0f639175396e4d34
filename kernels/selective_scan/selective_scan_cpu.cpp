// Layout of the work: a tile of 16 channels walks a segment in pieces of 64 rows. For each piece, softplus and the
// products that need no state are made first (into L1), then the states advance in registers, some at a time, then skip
// and gate. So the exponential unit of the loop sees nothing else, and every row of u, delta, z is read once, a cache
// line at a time.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/selective_scan/selective_scan_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/selective_scan/selective_scan_cpu.h"
#include "kernels/selective_scan/selective_scan_row-inl.h"
#include "kernels/selective_scan/selective_scan_tile-inl.h"

#include <algorithm>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;
using namespace scan_tile;

/// One piece of one tile, in L1. Rows are in the order of time, whatever the direction.
struct Piece {
    HWY_ALIGN float dt[kPiece * kTile];   // dt * log2(e)
    HWY_ALIGN float dt_u[kPiece * kTile]; // dt * u
    HWY_ALIGN float y[kPiece * kTile];    // sum_n C h
};

/// A and h of one tile, [d_state][16], zeros beyond the last channel.
struct Tile {
    HWY_ALIGN float A[kMaxState * kTile];
    HWY_ALIGN float h[kMaxState * kTile];
};

/// softplus and the products without state, for the channels c .. c + valid.
void prepare(SelectiveScanArgs const& a, Rows const& rows, index_t c, index_t valid, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    V const log2e = hn::Set(d, kLog2E);
    for (index_t v = 0; v < kTile; v += lanes) {
        V const bias = a.delta_bias.empty() ? hn::Zero(d) : load(a.delta_bias.data + c + v, valid - v);
        for (index_t i = 0; i < rows.count; ++i) {
            index_t const row = rows.row(i);
            V const dt = Softplus(d, hn::Add(load(a.delta.row(row) + c + v, valid - v), bias));
            hn::Store(hn::Mul(dt, log2e), d, piece.dt + i * kTile + v);
            hn::Store(hn::Mul(dt, load(a.u.row(row) + c + v, valid - v)), d, piece.dt_u + i * kTile + v);
            hn::Store(hn::Zero(d), d, piece.y + i * kTile + v);
        }
    }
}

/// Advances the states n .. n + kStates of a tile over a piece and adds C h to piece.y.
template <int kStates>
HWY_INLINE void advance(SelectiveScanArgs const& a, Rows const& rows, index_t n, Tile& tile, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    index_t const b_step = rows.step * a.B.row_stride;
    index_t const c_step = rows.step * a.C.row_stride;
    for (index_t v = 0; v < kTile; v += lanes) {
        float const* HWY_RESTRICT A = tile.A + n * kTile + v;
        V h[kStates];
        HWY_UNROLL(16)
        for (int s = 0; s < kStates; ++s) {
            h[s] = hn::Load(d, tile.h + (n + s) * kTile + v);
        }
        float const* HWY_RESTRICT B = a.B.row(rows.start) + n;
        float const* HWY_RESTRICT C = a.C.row(rows.start) + n;
        for (index_t i = 0; i < rows.count; ++i, B += b_step, C += c_step) {
            V const dt = hn::Load(d, piece.dt + i * kTile + v);
            V const dt_u = hn::Load(d, piece.dt_u + i * kTile + v);
            V y[2] = {hn::Load(d, piece.y + i * kTile + v), hn::Zero(d)};
            HWY_UNROLL(16)
            for (int s = 0; s < kStates; ++s) {
                V const decay = Exp2(d, hn::Mul(dt, hn::Load(d, A + s * kTile)));
                h[s] = hn::MulAdd(h[s], decay, hn::Mul(dt_u, hn::Set(d, B[s])));
                y[s % 2] = hn::MulAdd(h[s], hn::Set(d, C[s]), y[s % 2]);
            }
            hn::Store(hn::Add(y[0], y[1]), d, piece.y + i * kTile + v);
        }
        HWY_UNROLL(16)
        for (int s = 0; s < kStates; ++s) {
            hn::Store(h[s], d, tile.h + (n + s) * kTile + v);
        }
    }
}

void advance_all(SelectiveScanArgs const& a, Rows const& rows, Tile& tile, Piece& piece) {
    index_t n = 0;
    for (; n + kStatesAtOnce <= a.A.rows; n += kStatesAtOnce) {
        advance<kStatesAtOnce>(a, rows, n, tile, piece);
    }
    for (; n + 4 <= a.A.rows; n += 4) {
        advance<4>(a, rows, n, tile, piece);
    }
    for (; n < a.A.rows; ++n) {
        advance<1>(a, rows, n, tile, piece);
    }
}

/// Skip, gate, and out.
void finish(SelectiveScanArgs const& a, Rows const& rows, index_t c, index_t valid, Piece const& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t v = 0; v < kTile; v += lanes) {
        V const skip = load(a.D.data + c + v, valid - v);
        for (index_t i = 0; i < rows.count; ++i) {
            store_output(a, rows.row(i), c + v, valid - v, skip, hn::Load(d, piece.y + i * kTile + v));
        }
    }
}

/// `kept`: where the tile's states before the segment's first piece go; null: nowhere.
void scan_segment(SelectiveScanArgs const& a, ScanSegment const& segment, index_t c, index_t valid, float* kept,
                  Tile& tile, Piece& piece) {
    index_t const d_state = a.A.rows;
    index_t const d_inner = a.A.cols;
    if (segment.initial != nullptr) {
        load_tile(segment.initial + c, d_inner, d_state, valid, tile.h);
    } else {
        std::fill_n(tile.h, d_state * kTile, 0.0F);
    }
    for (index_t done = 0; done < segment.length; done += kPiece) {
        Rows rows{};
        rows.count = std::min(kPiece, segment.length - done);
        rows.step = a.reverse ? -1 : 1;
        rows.start = a.reverse ? segment.begin + segment.length - 1 - done : segment.begin + done;
        if (kept != nullptr) {
            std::copy_n(tile.h, d_state * kTile, kept);
            kept += scan_kept_before(d_inner, d_state);
        }
        prepare(a, rows, c, valid, piece);
        advance_all(a, rows, tile, piece);
        finish(a, rows, c, valid, piece);
    }
    if (segment.final != nullptr) { store_tile(tile.h, d_inner, d_state, valid, segment.final + c); }
}

/// A single row streams A and h as they lie in memory. (Training keeps states by tiles.)
bool is_row(SelectiveScanArgs const& a, ScanSegment const& segment) {
    return segment.length == 1 && a.kept_states == nullptr;
}

/// All other segments, a tile of channels at a time.
void scan_longer(SelectiveScanArgs const& a) {
    Tile tile;
    Piece piece;
    for (index_t c = 0; c < a.A.cols; c += kTile) {
        index_t const valid = std::min(kTile, a.A.cols - c);
        load_tile(a.A.data + c, a.A.row_stride, a.A.rows, valid, tile.A);
        float* kept = a.kept_states == nullptr ? nullptr : a.kept_states + c * a.A.rows;
        for (auto const& segment : a.segments) {
            if (is_row(a, segment)) { continue; }
            scan_segment(a, segment, c, valid, kept, tile, piece);
            if (kept != nullptr) { kept += scan_pieces(segment.length) * scan_kept_before(a.A.cols, a.A.rows); }
        }
    }
}

void scan(SelectiveScanArgs const& a) {
    index_t rows = 0;
    for (auto const& segment : a.segments) {
        if (!is_row(a, segment)) { continue; }
        scan_row::scan(a, segment);
        ++rows;
    }
    if (rows < static_cast<index_t>(a.segments.size())) { scan_longer(a); }
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(scan);
void selective_scan_cpu(SelectiveScanArgs const& args) { HWY_DYNAMIC_DISPATCH(scan)(args); }
} // namespace strandwave
#endif
