// The walks of a tile of 16 channels over a piece of rows, forward and back, compiled once per instruction set
// (Highway's foreach_target). Not a normal header: include it only from a kernel's .cpp, after hwy/highway.h.
#if defined(STRANDWAVE_SELECTIVE_SCAN_BACKWARD_WALK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRANDWAVE_SELECTIVE_SCAN_BACKWARD_WALK_INL_H_
#undef STRANDWAVE_SELECTIVE_SCAN_BACKWARD_WALK_INL_H_
#else
#define STRANDWAVE_SELECTIVE_SCAN_BACKWARD_WALK_INL_H_
#endif

#include "kernels/selective_scan/selective_scan_backward.h"
#include "kernels/selective_scan/selective_scan_tile-inl.h"
#include "kernels/simd/vector_math-inl.h"
#include "lib/core/buffer.h"

#include <algorithm>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace scan_backward_walk {
using namespace scan_tile;

using Args = SelectiveScanBackwardArgs;

/// States that walk together: two registers each, for g and dA. d_state is filled up to a multiple with states that are
/// 0 and stay 0.
constexpr int kStates = 4;

/// Sums over channels of kStates states: element k belongs to state k % kStates.
constexpr index_t kSums = kTile;

/// What a tile of a piece is worked on in. Rows are in the order of time, whatever the direction.
struct Piece {
    HWY_ALIGN float dt[kPiece * kTile];
    HWY_ALIGN float dt_log2e[kPiece * kTile];
    HWY_ALIGN float dt_u[kPiece * kTile];            // dt * u
    HWY_ALIGN float ds[kPiece * kTile];              // dL/d(y before the gate)
    HWY_ALIGN float gate[kPiece * kTile];            // sigmoid(z)
    HWY_ALIGN float y[kPiece * kTile];               // sum_n C h
    HWY_ALIGN float g_b[kPiece * kTile];             // sum_n g B
    HWY_ALIGN float g_a[kPiece * kTile];             // sum_n g A exp(dt A) h_before
    HWY_ALIGN float decay[kPiece * kStates * kTile]; // exp(dt A) of the states in turn, a vector each
    HWY_ALIGN float kept[kPiece * kStates * kTile];  // exp(dt A) h_before
};

/// B and C of a piece, in the order of time, and dB and dC over it, summed over tiles. Rows of `states` floats and of
/// states / kStates groups of sums.
struct PieceStates {
    explicit PieceStates(index_t states_)
        : states(states_), B(kPiece * states), C(kPiece * states), dB(kPiece * states / kStates * kSums),
          dC(kPiece * states / kStates * kSums) {}

    index_t sums_of(index_t i, index_t n) const { return (i * states + n) / kStates * kSums; }

    index_t states; // a multiple of kStates
    Buffer<float> B, C, dB, dC;
};

/// Channels of a tile: c .. c + valid of the matrices.
struct Channels {
    index_t c;
    index_t valid;
};

HWY_INLINE V sigmoid(V x) {
    D const d;
    V const one = hn::Set(d, 1.0F);
    return hn::Div(one, hn::Add(one, Exp(d, hn::Neg(x))));
}

/// Adds sums over the rows of a piece, one vector, to the sums over all rows.
HWY_INLINE void add_to(double* sums, V part) {
    D const d;
    HWY_ALIGN float parts[kTile];
    hn::Store(part, d, parts);
    for (index_t lane = 0; lane < static_cast<index_t>(hn::Lanes(d)); ++lane) {
        sums[lane] += static_cast<double>(parts[lane]);
    }
}

/// Adds the lanes of `terms`, one vector a state, to a group of sums: a transposition of which as many lanes are left
/// as a vector has, so that a walk writes little.
HWY_INLINE void add_to_sums(V const* terms, float* sums) {
    D const d;
#if HWY_TARGET == HWY_SCALAR
    for (int s = 0; s < kStates; ++s) {
        hn::Store(hn::Add(hn::Load(d, sums + s), terms[s]), d, sums + s);
    }
#else
    static_assert(kStates == 4, "a block of 128 bits");
    hn::Repartition<double, D> const pairs;
    auto const halves = [d, pairs](V a, V b) {
        return hn::BitCast(pairs, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
    };
    auto const first = halves(terms[0], terms[1]);
    auto const second = halves(terms[2], terms[3]);
    V const lower = hn::BitCast(d, hn::InterleaveLower(pairs, first, second));
    V const upper = hn::BitCast(d, hn::InterleaveUpper(pairs, first, second));
    hn::Store(hn::Add(hn::Load(d, sums), hn::Add(lower, upper)), d, sums);
#endif
}

HWY_INLINE V bias_of(Args const& a, Channels ch, index_t v) {
    return a.delta_bias.empty() ? hn::Zero(D()) : load(a.delta_bias.data + ch.c + v, ch.valid - v);
}

/// dt and its products. The first pass over a piece leaves dt where ddelta will be: a later one, `again`, finds it
/// there.
HWY_INLINE void prepare_steps(Args const& a, Rows const& rows, Channels ch, bool again, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t v = 0; v < kTile; v += lanes) {
        index_t const c = ch.c + v;
        index_t const valid = ch.valid - v;
        V const bias = bias_of(a, ch, v);
        for (index_t i = 0; i < rows.count; ++i) {
            index_t const row = rows.row(i);
            V dt;
            if (again) {
                dt = load(a.ddelta.row(row) + c, valid);
            } else {
                dt = Softplus(d, hn::Add(load(a.delta.row(row) + c, valid), bias));
                store(dt, a.ddelta.row(row) + c, valid);
            }
            hn::Store(dt, d, piece.dt + i * kTile + v);
            hn::Store(hn::Mul(dt, hn::Set(d, kLog2E)), d, piece.dt_log2e + i * kTile + v);
            hn::Store(hn::Mul(dt, load(a.u.row(row) + c, valid)), d, piece.dt_u + i * kTile + v);
        }
    }
}

HWY_INLINE void prepare_gradients(Args const& a, Rows const& rows, Channels ch, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t i = 0; i < rows.count; ++i) {
        index_t const row = rows.row(i);
        for (index_t v = 0; v < kTile; v += lanes) {
            V ds = load(a.dy.row(row) + ch.c + v, ch.valid - v);
            if (a.z.data != nullptr) {
                V const z = load(a.z.row(row) + ch.c + v, ch.valid - v);
                V const gate = sigmoid(z);
                hn::Store(gate, d, piece.gate + i * kTile + v);
                ds = hn::Mul(ds, hn::Mul(z, gate));
            }
            hn::Store(ds, d, piece.ds + i * kTile + v);
        }
    }
    for (auto* sums : {piece.y, piece.g_b, piece.g_a}) {
        std::fill_n(sums, rows.count * kTile, 0.0F);
    }
}

/// The states n .. n + kStates of a tile, from before a piece to behind it: the bits of the forward pass.
HWY_INLINE void advance(index_t count, index_t n, float const* A_tile, PieceStates const& states, Piece const& piece,
                        float* h_tile) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t v = 0; v < kTile; v += lanes) {
        float const* HWY_RESTRICT A = A_tile + n * kTile + v;
        float* HWY_RESTRICT state = h_tile + n * kTile + v;
        V h[kStates];
        HWY_UNROLL(4)
        for (int s = 0; s < kStates; ++s) {
            h[s] = hn::Load(d, state + s * kTile);
        }
        for (index_t i = 0; i < count; ++i) {
            float const* HWY_RESTRICT B = states.B.data() + i * states.states + n;
            V const dt_log2e = hn::Load(d, piece.dt_log2e + i * kTile + v);
            V const dt_u = hn::Load(d, piece.dt_u + i * kTile + v);
            HWY_UNROLL(4)
            for (int s = 0; s < kStates; ++s) {
                V const decay = Exp2(d, hn::Mul(dt_log2e, hn::Load(d, A + s * kTile)));
                h[s] = hn::MulAdd(h[s], decay, hn::Mul(dt_u, hn::Set(d, B[s])));
            }
        }
        HWY_UNROLL(4)
        for (int s = 0; s < kStates; ++s) {
            hn::Store(h[s], d, state + s * kTile);
        }
    }
}

/// The same walk with all that the walk back needs: decays and decayed states, y, and dC, which wants h. `before` and
/// `A` point to the first of the states and channels.
HWY_INLINE void walk_forward(index_t count, index_t n, index_t v, float const* before, float const* A,
                             PieceStates& states, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    V h[kStates];
    HWY_UNROLL(4)
    for (int s = 0; s < kStates; ++s) {
        h[s] = hn::Load(d, before + s * kTile);
    }
    for (index_t i = 0; i < count; ++i) {
        float const* HWY_RESTRICT B = states.B.data() + i * states.states + n;
        float const* HWY_RESTRICT C = states.C.data() + i * states.states + n;
        float* HWY_RESTRICT decays = piece.decay + i * kStates * lanes;
        float* HWY_RESTRICT kepts = piece.kept + i * kStates * lanes;
        V const dt_log2e = hn::Load(d, piece.dt_log2e + i * kTile + v);
        V const dt_u = hn::Load(d, piece.dt_u + i * kTile + v);
        V const ds = hn::Load(d, piece.ds + i * kTile + v);
        V y = hn::Load(d, piece.y + i * kTile + v);
        V dC[kStates];
        HWY_UNROLL(4)
        for (int s = 0; s < kStates; ++s) {
            V const decay = AccurateExp2(d, hn::Mul(dt_log2e, hn::Load(d, A + s * kTile)));
            V const kept = hn::Mul(h[s], decay);
            h[s] = hn::MulAdd(dt_u, hn::Set(d, B[s]), kept);
            y = hn::MulAdd(h[s], hn::Set(d, C[s]), y);
            dC[s] = hn::Mul(ds, h[s]);
            hn::Store(decay, d, decays + s * lanes);
            hn::Store(kept, d, kepts + s * lanes);
        }
        hn::Store(y, d, piece.y + i * kTile + v);
        add_to_sums(dC, states.dC.data() + states.sums_of(i, n));
    }
}

/// `g_states` is dL/dh behind the piece and becomes what it is before it.
HWY_INLINE void walk_back(index_t count, index_t n, index_t v, float const* A, float* g_states, double* dA_sums,
                          PieceStates& states, Piece& piece) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    V carried[kStates]; // dL/dh behind the row, without the row's own y
    V dA[kStates];
    HWY_UNROLL(4)
    for (int s = 0; s < kStates; ++s) {
        carried[s] = hn::Load(d, g_states + s * kTile);
        dA[s] = hn::Zero(d);
    }
    for (index_t i = count - 1; i >= 0; --i) {
        float const* HWY_RESTRICT B = states.B.data() + i * states.states + n;
        float const* HWY_RESTRICT C = states.C.data() + i * states.states + n;
        float const* HWY_RESTRICT decays = piece.decay + i * kStates * lanes;
        float const* HWY_RESTRICT kepts = piece.kept + i * kStates * lanes;
        V const dt = hn::Load(d, piece.dt + i * kTile + v);
        V const dt_u = hn::Load(d, piece.dt_u + i * kTile + v);
        V const ds = hn::Load(d, piece.ds + i * kTile + v);
        V g_b = hn::Load(d, piece.g_b + i * kTile + v);
        V g_a = hn::Load(d, piece.g_a + i * kTile + v);
        V dB[kStates];
        HWY_UNROLL(4)
        for (int s = 0; s < kStates; ++s) {
            V const g = hn::MulAdd(ds, hn::Set(d, C[s]), carried[s]);
            V const g_kept = hn::Mul(g, hn::Load(d, kepts + s * lanes));
            g_b = hn::MulAdd(g, hn::Set(d, B[s]), g_b);
            g_a = hn::MulAdd(g_kept, hn::Load(d, A + s * kTile), g_a);
            dA[s] = hn::MulAdd(g_kept, dt, dA[s]);
            dB[s] = hn::Mul(g, dt_u);
            carried[s] = hn::Mul(g, hn::Load(d, decays + s * lanes));
        }
        hn::Store(g_b, d, piece.g_b + i * kTile + v);
        hn::Store(g_a, d, piece.g_a + i * kTile + v);
        add_to_sums(dB, states.dB.data() + states.sums_of(i, n));
    }
    HWY_UNROLL(4)
    for (int s = 0; s < kStates; ++s) {
        hn::Store(carried[s], d, g_states + s * kTile);
        add_to(dA_sums + s * kTile, dA[s]);
    }
}

} // namespace scan_backward_walk
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#endif
