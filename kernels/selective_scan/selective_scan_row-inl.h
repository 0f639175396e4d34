// The scan of a single row, which decoding takes token by token, compiled once per instruction set (Highway's
// foreach_target). Not a normal header: include it only from a kernel's .cpp, after hwy/highway.h.
#if defined(STRANDWAVE_SELECTIVE_SCAN_ROW_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef STRANDWAVE_SELECTIVE_SCAN_ROW_INL_H_
#undef STRANDWAVE_SELECTIVE_SCAN_ROW_INL_H_
#else
#define STRANDWAVE_SELECTIVE_SCAN_ROW_INL_H_
#endif

#include "kernels/selective_scan/selective_scan_tile-inl.h"

#include <algorithm>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace scan_row {
using namespace scan_tile;

/// What a row needs besides A and h, in L1, while those two stream past state by state, as they lie in memory.
struct Row {
    static constexpr index_t kChannels = 512;
    HWY_ALIGN float dt[kChannels]; // dt * log2(e)
    HWY_ALIGN float dt_u[kChannels];
    HWY_ALIGN float y[2][kChannels]; // sum_n C h, in the two chains of a walk over tiles
};

/// The channels of a row that are worked on at once.
struct Block {
    index_t row;
    index_t c; // the first
    index_t width;
};

HWY_INLINE void prepare(SelectiveScanArgs const& a, Block const& block, Row& row) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    for (index_t v = 0; v < block.width; v += lanes) {
        index_t const c = block.c + v;
        index_t const valid = block.width - v;
        V const bias = a.delta_bias.empty() ? hn::Zero(d) : load(a.delta_bias.data + c, valid);
        V const dt = Softplus(d, hn::Add(load(a.delta.row(block.row) + c, valid), bias));
        hn::Store(hn::Mul(dt, hn::Set(d, kLog2E)), d, row.dt + v);
        hn::Store(hn::Mul(dt, load(a.u.row(block.row) + c, valid)), d, row.dt_u + v);
        hn::Store(hn::Zero(d), d, row.y[0] + v);
        hn::Store(hn::Zero(d), d, row.y[1] + v);
    }
}

/// State n of the channels. `y`: the chain that it adds to.
HWY_INLINE void advance_state(SelectiveScanArgs const& a, ScanSegment const& segment, Block const& block, index_t n,
                              Row const& row, float* HWY_RESTRICT y) {
    D const d;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    index_t const at = n * a.A.cols + block.c;
    V const B = hn::Set(d, a.B(block.row, n));
    V const C = hn::Set(d, a.C(block.row, n));
    for (index_t v = 0; v < block.width; v += lanes) {
        index_t const valid = block.width - v;
        V h = segment.initial == nullptr ? hn::Zero(d) : load(segment.initial + at + v, valid);
        V const decay = Exp2(d, hn::Mul(hn::Load(d, row.dt + v), load(a.A.row(n) + block.c + v, valid)));
        h = hn::MulAdd(h, decay, hn::Mul(hn::Load(d, row.dt_u + v), B));
        hn::Store(hn::MulAdd(h, C, hn::Load(d, y + v)), d, y + v);
        if (segment.final != nullptr) { store(h, segment.final + at + v, valid); }
    }
}

/// The states n .. n + count, and the sum of their two chains.
HWY_INLINE void advance(SelectiveScanArgs const& a, ScanSegment const& segment, Block const& block, index_t n,
                        index_t count, Row& row) {
    D const d;
    for (index_t s = 0; s < count; ++s) {
        advance_state(a, segment, block, n + s, row, row.y[s % 2]);
    }
    for (index_t v = 0; v < block.width; v += static_cast<index_t>(hn::Lanes(d))) {
        hn::Store(hn::Add(hn::Load(d, row.y[0] + v), hn::Load(d, row.y[1] + v)), d, row.y[0] + v);
        hn::Store(hn::Zero(d), d, row.y[1] + v);
    }
}

/// The segment's only row. States are taken in the groups that a walk over tiles takes them in: the same bits.
HWY_INLINE void scan(SelectiveScanArgs const& a, ScanSegment const& segment) {
    D const d;
    Row row;
    for (index_t c = 0; c < a.A.cols; c += Row::kChannels) {
        Block const block{segment.begin, c, std::min(Row::kChannels, a.A.cols - c)};
        prepare(a, block, row);
        index_t count = 0;
        for (index_t n = 0; n < a.A.rows; n += count) {
            index_t const left = a.A.rows - n;
            count = left >= kStatesAtOnce ? kStatesAtOnce : left >= 4 ? 4 : 1;
            advance(a, segment, block, n, count, row);
        }
        for (index_t v = 0; v < block.width; v += static_cast<index_t>(hn::Lanes(d))) {
            index_t const valid = block.width - v;
            store_output(a, block.row, c + v, valid, load(a.D.data + c + v, valid), hn::Load(d, row.y[0] + v));
        }
    }
}

} // namespace scan_row
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#endif
