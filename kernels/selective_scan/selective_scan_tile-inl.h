// Tiles of 16 channels and pieces of rows, compiled once per instruction set (Highway's foreach_target). Not a normal
// header: include it only from a kernel's .cpp, after hwy/highway.h.
#if defined(STRANDWAVE_SELECTIVE_SCAN_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRANDWAVE_SELECTIVE_SCAN_TILE_INL_H_
#undef STRANDWAVE_SELECTIVE_SCAN_TILE_INL_H_
#else
#define STRANDWAVE_SELECTIVE_SCAN_TILE_INL_H_
#endif

#include "kernels/selective_scan/selective_scan_cpu.h"
#include "kernels/simd/vector_math-inl.h"

#include <algorithm>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace scan_tile {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;

constexpr index_t kTile = kScanTile;   // channels
constexpr index_t kPiece = kScanPiece; // rows

/// The rows of a piece: row(i) is the i-th in time.
struct Rows {
    index_t start;
    index_t step; // +1 or -1
    index_t count;
    index_t row(index_t i) const { return start + step * i; }
};

/// A vector of which `valid` lanes are in memory, zeros behind.
HWY_INLINE V load(float const* from, index_t valid) {
    D const d;
    if (valid >= static_cast<index_t>(hn::Lanes(d))) { return hn::LoadU(d, from); }
    HWY_ALIGN float padded[kTile] = {};
    std::copy_n(from, std::max<index_t>(valid, 0), padded);
    return hn::Load(d, padded);
}

HWY_INLINE void store(V value, float* to, index_t valid) {
    D const d;
    if (valid >= static_cast<index_t>(hn::Lanes(d))) {
        hn::StoreU(value, d, to);
        return;
    }
    HWY_ALIGN float padded[kTile];
    hn::Store(value, d, padded);
    std::copy_n(padded, std::max<index_t>(valid, 0), to);
}

/// States that advance together: as many as the registers hold beside the constants of Exp2. Their sums of C h are two
/// chains, which hides the latency of a sum.
constexpr int kStatesAtOnce = HWY_TARGET <= HWY_AVX3 ? 16 : 4;

/// y of one vector of channels, with skip and gate, out of sum_n C h.
HWY_INLINE void store_output(SelectiveScanArgs const& a, index_t row, index_t c, index_t valid, V skip, V sum) {
    D const d;
    V y = hn::MulAdd(skip, load(a.u.row(row) + c, valid), sum);
    if (a.z.data != nullptr) { y = hn::Mul(y, Silu(d, load(a.z.row(row) + c, valid))); }
    store(y, a.y.row(row) + c, valid);
}

/// [d_state, valid] out of a row-major array into a tile [d_state, 16], zeros behind, or back.
HWY_INLINE void load_tile(float const* from, index_t row_stride, index_t d_state, index_t valid, float* to) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t n = 0; n < d_state; ++n) {
        for (index_t v = 0; v < kTile; v += lanes) {
            hn::Store(load(from + n * row_stride + v, valid - v), d, to + n * kTile + v);
        }
    }
}

HWY_INLINE void store_tile(float const* from, index_t row_stride, index_t d_state, index_t valid, float* to) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t n = 0; n < d_state; ++n) {
        for (index_t v = 0; v < kTile; v += lanes) {
            store(hn::Load(d, from + n * kTile + v), to + n * row_stride + v, valid - v);
        }
    }
}

} // namespace scan_tile
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#endif
