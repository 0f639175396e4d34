// Layout of the work: a segment is cut into pieces of rows, and its channels into tiles of 16. First every tile walks
// forward and leaves its state before each piece, unless the forward pass has kept them. Then the pieces are taken from
// the last to the first, all tiles of a piece before the piece before it, so that the sums over channels (dB, dC) of a
// piece stay in L2. For a tile of a piece, a few states at a time walk forward again and leave decays and decayed
// states for the walk back: exponentials are taken again, but nothing of the size of [T, N, E] is ever in memory. (The
// states before the pieces are N / kPiece of one activation matrix.)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/selective_scan/selective_scan_backward_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/selective_scan/selective_scan_backward_cpu.h"
#include "kernels/selective_scan/selective_scan_backward_walk-inl.h"
#include "lib/core/buffer.h"

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
using namespace scan_backward_walk;

/// What outlives a tile of a piece. State arrays are tiles: [tiles][states][16].
struct Work {
    Work(Args const& a, index_t longest)
        : states((a.A.rows + kStates - 1) / kStates * kStates), tile_size(states.states * kTile),
          tiles(scan_tiles(a.A.cols)),
          pieces(a.kept_states != nullptr ? 1 : std::max<index_t>(scan_pieces(longest), 1)), A(tiles * tile_size),
          g(tiles * tile_size), before(pieces * tiles * tile_size), dA(tiles * tile_size), dD(tiles * kTile),
          ddelta_bias(tiles * kTile) {
        for (auto* sums : {&dA, &dD, &ddelta_bias}) {
            std::fill(sums->begin(), sums->end(), 0.0);
        }
    }

    float* state_before(index_t piece, index_t tile) { return before.data() + (piece * tiles + tile) * tile_size; }

    PieceStates states;
    index_t tile_size;
    index_t tiles;
    index_t pieces; // whose states are held: those of the longest segment, or the one at work
    Buffer<float> A;
    Buffer<float> g;                // dL/dh between two pieces
    Buffer<float> before;           // h before each piece, [pieces][tiles][states][16]
    Buffer<double> dA;              // pieces are summed in fp32, the whole in double: no error grows with the rows
    Buffer<double> dD, ddelta_bias; // [tiles][16]
};

/// B or C of a piece, with zeros for the states that fill up.
void load_states(Rows const& rows, View<float const, 2> from, index_t states, Buffer<float>& to) {
    for (index_t i = 0; i < rows.count; ++i) {
        float* row = to.data() + i * states;
        std::copy_n(from.row(rows.row(i)), from.cols, row);
        std::fill_n(row + from.cols, states - from.cols, 0.0F);
    }
}

/// dB or dC of a piece out of its sums.
void store_sums(Rows const& rows, PieceStates const& states, Buffer<float> const& sums, View<float, 2> out) {
    for (index_t i = 0; i < rows.count; ++i) {
        for (index_t n = 0; n < out.cols; ++n) {
            float const* group = sums.data() + states.sums_of(i, n);
            float sum = 0;
            for (index_t k = n % kStates; k < kSums; k += kStates) {
                sum += group[k];
            }
            out(rows.row(i), n) = sum;
        }
    }
}

/// dz, and y if wanted, from s (y before the gate) and `gates`, sigmoid(z), of one vector of channels.
HWY_INLINE void finish_gate(Args const& a, index_t row, index_t c, index_t valid, V s, float const* gates) {
    D const d;
    V y = s;
    if (a.z.data != nullptr) {
        V const one = hn::Set(d, 1.0F);
        V const z = load(a.z.row(row) + c, valid);
        V const gate = hn::Load(d, gates);
        V const slope = hn::Mul(gate, hn::MulAdd(z, hn::Sub(one, gate), one));
        V dz = hn::Mul(hn::Mul(load(a.dy.row(row) + c, valid), s), slope);
        if (a.accumulate_gate) { dz = hn::Add(dz, load(a.dz.row(row) + c, valid)); }
        store(dz, a.dz.row(row) + c, valid);
        y = hn::Mul(s, hn::Mul(z, gate));
    }
    if (a.y.data == nullptr) { return; }
    if (a.accumulate_gate) { y = hn::Add(y, load(a.y.row(row) + c, valid)); }
    store(y, a.y.row(row) + c, valid);
}

/// What needs sums over all states: du, ddelta, dz, y, dD and ddelta_bias.
void finish(Args const& a, Rows const& rows, Channels ch, index_t tile, Piece const& piece, Work& work) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t v = 0; v < kTile; v += lanes) {
        index_t const c = ch.c + v;
        index_t const valid = ch.valid - v;
        V const skip = load(a.D.data + c, valid);
        V const bias = bias_of(a, ch, v);
        V dD = hn::Zero(d);
        V ddelta_bias = hn::Zero(d);
        for (index_t i = 0; i < rows.count; ++i) {
            index_t const row = rows.row(i);
            V const u = load(a.u.row(row) + c, valid);
            V const ds = hn::Load(d, piece.ds + i * kTile + v);
            V const g_b = hn::Load(d, piece.g_b + i * kTile + v);
            V const g_a = hn::Load(d, piece.g_a + i * kTile + v);
            V const slope = sigmoid(hn::Add(load(a.delta.row(row) + c, valid), bias));
            V const ddelta = hn::Mul(hn::MulAdd(u, g_b, g_a), slope);
            V const s = hn::MulAdd(skip, u, hn::Load(d, piece.y + i * kTile + v));
            finish_gate(a, row, c, valid, s, piece.gate + i * kTile + v);
            store(hn::MulAdd(hn::Load(d, piece.dt + i * kTile + v), g_b, hn::Mul(skip, ds)), a.du.row(row) + c, valid);
            store(ddelta, a.ddelta.row(row) + c, valid);
            dD = hn::MulAdd(ds, u, dD);
            ddelta_bias = hn::Add(ddelta_bias, ddelta);
        }
        add_to(work.dD.data() + tile * kTile + v, dD);
        add_to(work.ddelta_bias.data() + tile * kTile + v, ddelta_bias);
    }
}

Channels channels_of(Args const& a, index_t tile) { return {tile * kTile, std::min(kTile, a.A.cols - tile * kTile)}; }

Rows rows_of(Args const& a, ScanBackwardSegment const& segment, index_t piece) {
    index_t const done = piece * kPiece;
    index_t const start = a.reverse ? segment.begin + segment.length - 1 - done : segment.begin + done;
    return {start, a.reverse ? -1 : 1, std::min(kPiece, segment.length - done)};
}

/// A [N, E] array into tiles [tiles][states][16], zeros where it has nothing; null: all zeros.
void load_tiles(float const* from, index_t row_stride, Args const& a, Work const& work, float* to) {
    std::fill_n(to, work.tiles * work.tile_size, 0.0F);
    for (index_t tile = 0; tile < work.tiles && from != nullptr; ++tile) {
        Channels const ch = channels_of(a, tile);
        load_tile(from + ch.c, row_stride, a.A.rows, ch.valid, to + tile * work.tile_size);
    }
}

/// The states of all tiles behind a piece, from those before it.
void advance_piece(Args const& a, Rows const& rows, index_t p, Work& work, Piece& piece) {
    load_states(rows, a.B, work.states.states, work.states.B);
    std::copy_n(work.state_before(p, 0), work.tiles * work.tile_size, work.state_before(p + 1, 0));
    for (index_t tile = 0; tile < work.tiles; ++tile) {
        prepare_steps(a, rows, channels_of(a, tile), false, piece);
        for (index_t n = 0; n < work.states.states; n += kStates) {
            advance(rows.count, n, work.A.data() + tile * work.tile_size, work.states, piece,
                    work.state_before(p + 1, tile));
        }
    }
}

/// The states before a piece, as the forward pass kept them.
void take_states(Args const& a, float const* kept, Work& work) {
    index_t const size = a.A.rows * kTile;
    for (index_t tile = 0; tile < work.tiles; ++tile) {
        float* const to = work.state_before(0, tile);
        std::copy_n(kept + tile * size, size, to);
        std::fill(to + size, to + work.tile_size, 0.0F);
    }
}

/// Both walks of a tile over a piece, whose states before it are those of place p.
void walk_tile(Rows const& rows, index_t p, index_t tile, Work& work, Piece& piece) {
    auto const lanes = static_cast<index_t>(hn::Lanes(D()));
    for (index_t n = 0; n < work.states.states; n += kStates) {
        for (index_t v = 0; v < kTile; v += lanes) {
            index_t const within = n * kTile + v;
            index_t const at = tile * work.tile_size + within;
            walk_forward(rows.count, n, v, work.state_before(p, tile) + within, work.A.data() + at, work.states, piece);
            walk_back(rows.count, n, v, work.A.data() + at, work.g.data() + at, work.dA.data() + at, work.states,
                      piece);
        }
    }
}

/// `again`: advance_piece has been there.
void walk_piece(Args const& a, Rows const& rows, index_t p, bool again, Work& work, Piece& piece) {
    load_states(rows, a.B, work.states.states, work.states.B);
    load_states(rows, a.C, work.states.states, work.states.C);
    for (auto* sums : {&work.states.dB, &work.states.dC}) {
        std::fill_n(sums->data(), work.states.sums_of(rows.count, 0), 0.0F);
    }
    for (index_t tile = 0; tile < work.tiles; ++tile) {
        Channels const ch = channels_of(a, tile);
        prepare_steps(a, rows, ch, again, piece);
        prepare_gradients(a, rows, ch, piece);
        walk_tile(rows, p, tile, work, piece);
        finish(a, rows, ch, tile, piece, work);
    }
    store_sums(rows, work.states, work.states.dB, a.dB);
    store_sums(rows, work.states, work.states.dC, a.dC);
}

/// `kept`: what the forward pass kept of the segment; null: nothing.
void walk_segment(Args const& a, ScanBackwardSegment const& segment, float const* kept, Work& work, Piece& piece) {
    index_t const pieces = scan_pieces(segment.length);
    load_tiles(segment.d_final, a.A.cols, a, work, work.g.data());
    if (kept == nullptr) {
        load_tiles(segment.initial, a.A.cols, a, work, work.state_before(0, 0));
        for (index_t p = 0; p + 1 < pieces; ++p) {
            advance_piece(a, rows_of(a, segment, p), p, work, piece);
        }
    }
    for (index_t p = pieces - 1; p >= 0; --p) {
        Rows const rows = rows_of(a, segment, p);
        if (kept == nullptr) {
            walk_piece(a, rows, p, p + 1 < pieces, work, piece);
        } else {
            take_states(a, kept + p * scan_kept_before(a.A.cols, a.A.rows), work);
            walk_piece(a, rows, 0, false, work, piece);
        }
    }
    if (segment.d_initial == nullptr) { return; }
    for (index_t tile = 0; tile < work.tiles; ++tile) {
        Channels const ch = channels_of(a, tile);
        store_tile(work.g.data() + tile * work.tile_size, a.A.cols, a.A.rows, ch.valid, segment.d_initial + ch.c);
    }
}

void add_parameter_gradients(Args const& a, Work const& work) {
    for (index_t e = 0; e < a.A.cols; ++e) {
        index_t const tile = e / kTile;
        index_t const lane = e % kTile;
        for (index_t n = 0; n < a.A.rows; ++n) {
            a.dA(n, e) += static_cast<float>(work.dA[tile * work.tile_size + n * kTile + lane]);
        }
        a.dD(e) += static_cast<float>(work.dD[e]);
        if (!a.ddelta_bias.empty()) { a.ddelta_bias(e) += static_cast<float>(work.ddelta_bias[e]); }
    }
}

void scan_backward(Args const& a) {
    index_t longest = 0;
    for (auto const& segment : a.segments) {
        longest = std::max(longest, segment.length);
    }
    Work work(a, longest);
    Piece piece;
    load_tiles(a.A.data, a.A.row_stride, a, work, work.A.data());
    float const* kept = a.kept_states;
    for (auto const& segment : a.segments) {
        walk_segment(a, segment, kept, work, piece);
        if (kept != nullptr) { kept += scan_pieces(segment.length) * scan_kept_before(a.A.cols, a.A.rows); }
    }
    add_parameter_gradients(a, work);
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(scan_backward);
void selective_scan_backward_cpu(SelectiveScanBackwardArgs const& args) { HWY_DYNAMIC_DISPATCH(scan_backward)(args); }
} // namespace strandwave
#endif
