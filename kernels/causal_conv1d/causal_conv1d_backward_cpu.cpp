#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/causal_conv1d/causal_conv1d_backward_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/causal_conv1d/causal_conv1d_backward_cpu.h"
#include "kernels/simd/vector_math-inl.h"

#include <algorithm>
#include <array>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Rows that are worked on together, one vector of channels after the other: a tile's rows stay in the cache, and its
/// part of the parameter gradients in registers.
constexpr index_t kTileRows = 16;
constexpr index_t kUsualConv = 4; ///< d_conv of all published models
constexpr index_t kMaxLanes = hn::MaxLanes(hn::ScalableTag<float>());

/// The rows of a tile, in the order of time. H = W - 1 rows of x stand before those of dy; dx lags behind by H rows,
/// because a row's gradient needs ds of the H rows that follow.
struct Tile {
    index_t rows = 0;     ///< of dy
    index_t rows_out = 0; ///< of dx
    std::array<float const*, kMaxConv - 1 + kTileRows> x{};
    std::array<float const*, kTileRows> dy{};
    std::array<float*, kMaxConv - 1 + kTileRows> dx{};            ///< null = not wanted
    std::array<float const*, kMaxConv - 1 + kTileRows> d_final{}; ///< added to dx; null = nothing
    std::array<bool, kMaxConv - 1 + kTileRows> accumulate{};
};

/// What lives as long as a call or a segment: sums over rows, and dL/ds of the H rows before a tile.
struct Sums {
    Sums(index_t taps, index_t channels_)
        : channels(channels_), dweight(static_cast<std::size_t>(taps * channels)),
          dbias(static_cast<std::size_t>(channels)), ds(static_cast<std::size_t>((taps - 1) * channels)) {}
    index_t channels;
    std::vector<double> dweight; ///< [W, channels]
    std::vector<double> dbias;   ///< [channels]
    std::vector<float> ds;       ///< [H, channels]
};

/// dL/ds of a row, of the channels [c, c + Lanes); `x` are the rows of its taps, oldest first.
template <class D>
HWY_INLINE hn::Vec<D> gradient_of_sum(D d, CausalConv1dBackwardArgs const& a, index_t taps, float const* const* x,
                                      float const* dy, index_t c) {
    auto sum = a.bias.empty() ? hn::Zero(d) : hn::LoadU(d, a.bias.data + c);
    for (index_t k = 0; k < taps; ++k) {
        sum = hn::MulAdd(hn::LoadU(d, a.weight.row(k) + c), hn::LoadU(d, x[k] + c), sum);
    }
    auto const one = hn::Set(d, 1.0F);
    auto const sigmoid = hn::Div(one, hn::Add(one, Exp(d, hn::Neg(sum))));
    auto const slope = hn::Mul(sigmoid, hn::MulAdd(sum, hn::Sub(one, sigmoid), one));
    return hn::Mul(hn::LoadU(d, dy + c), slope);
}

template <class D>
HWY_INLINE void add_lanes(D d, hn::Vec<D> vector, double* to) {
    std::array<float, kMaxLanes> lanes;
    hn::StoreU(vector, d, lanes.data());
    for (std::size_t l = 0; l < hn::Lanes(d); ++l) {
        to[l] += static_cast<double>(lanes[l]);
    }
}

/// The channels [c, c + Lanes) of a tile. kTaps: W where it is known at compile time, else 0.
template <index_t kTaps, class D>
HWY_INLINE void differentiate(D d, CausalConv1dBackwardArgs const& a, Tile const& tile, index_t c, Sums& sums) {
    index_t const taps = kTaps > 0 ? kTaps : a.weight.rows;
    index_t const history = taps - 1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    // Of the H rows before the tile, of its own, and the zeros behind a segment's last row.
    std::array<float, (2 * (kMaxConv - 1) + kTileRows) * kMaxLanes> ds;
    for (index_t k = 0; k < history; ++k) {
        hn::StoreU(hn::LoadU(d, sums.ds.data() + k * sums.channels + c), d, ds.data() + k * lanes);
    }
    auto bias_sum = hn::Zero(d);
    for (index_t i = 0; i < tile.rows; ++i) {
        auto const gradient = gradient_of_sum(d, a, taps, tile.x.data() + i, tile.dy[static_cast<std::size_t>(i)], c);
        hn::StoreU(gradient, d, ds.data() + (history + i) * lanes);
        bias_sum = hn::Add(bias_sum, gradient);
    }
    for (index_t i = tile.rows; i < tile.rows_out; ++i) {
        hn::StoreU(hn::Zero(d), d, ds.data() + (history + i) * lanes);
    }
    add_lanes(d, bias_sum, sums.dbias.data() + c);
    for (index_t k = 0; k < taps; ++k) {
        auto weight_sum = hn::Zero(d);
        for (index_t i = 0; i < tile.rows; ++i) {
            auto const x = hn::LoadU(d, tile.x[static_cast<std::size_t>(i + k)] + c);
            weight_sum = hn::MulAdd(hn::LoadU(d, ds.data() + (history + i) * lanes), x, weight_sum);
        }
        add_lanes(d, weight_sum, sums.dweight.data() + k * sums.channels + c);
    }
    for (index_t i = 0; i < tile.rows_out; ++i) {
        auto const row = static_cast<std::size_t>(i);
        if (tile.dx[row] == nullptr) { continue; }
        auto sum = hn::Zero(d);
        for (index_t k = 0; k < taps; ++k) {
            sum =
                hn::MulAdd(hn::LoadU(d, a.weight.row(k) + c), hn::LoadU(d, ds.data() + (i + history - k) * lanes), sum);
        }
        if (tile.d_final[row] != nullptr) { sum = hn::Add(sum, hn::LoadU(d, tile.d_final[row] + c)); }
        if (tile.accumulate[row]) { sum = hn::Add(sum, hn::LoadU(d, tile.dx[row] + c)); }
        hn::StoreU(sum, d, tile.dx[row] + c);
    }
    for (index_t k = 0; k < history; ++k) {
        hn::StoreU(hn::LoadU(d, ds.data() + (tile.rows + k) * lanes), d, sums.ds.data() + k * sums.channels + c);
    }
}

template <index_t kTaps>
void differentiate_tile(CausalConv1dBackwardArgs const& a, Tile const& tile, Sums& sums) {
    hn::ScalableTag<float> const d;
    hn::CappedTag<float, 1> const d1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    index_t c = 0;
    for (; c + lanes <= sums.channels; c += lanes) {
        differentiate<kTaps>(d, a, tile, c, sums);
    }
    for (; c < sums.channels; ++c) {
        differentiate<kTaps>(d1, a, tile, c, sums);
    }
}

/// Where the rows of a segment lie; i counts rows of time, negative ones are the carried ones.
class Rows {
public:
    Rows(CausalConv1dBackwardArgs const& a, ConvBackwardSegment const& segment, float const* zeros)
        : a_(a), segment_(segment), history_(a.weight.rows - 1),
          initial_(segment.initial != nullptr ? segment.initial : zeros) {
        if (segment.d_final == nullptr) { return; }
        // A copy: d_initial may be d_final, and is written first.
        d_final_.assign(segment.d_final, segment.d_final + history_ * a.x.cols);
    }

    Tile tile(index_t begin) const {
        Tile tile;
        tile.rows = std::min(kTileRows, segment_.length - begin);
        bool const last = begin + tile.rows == segment_.length;
        tile.rows_out = last ? tile.rows + history_ : tile.rows;
        for (index_t i = 0; i < history_ + tile.rows; ++i) {
            tile.x[static_cast<std::size_t>(i)] = input(begin - history_ + i);
        }
        for (index_t i = 0; i < tile.rows; ++i) {
            tile.dy[static_cast<std::size_t>(i)] = a_.dy.row(row(begin + i));
        }
        for (index_t i = 0; i < tile.rows_out; ++i) {
            place_gradient(begin - history_ + i, static_cast<std::size_t>(i), tile);
        }
        return tile;
    }

private:
    index_t row(index_t i) const { return a_.reverse ? segment_.begin + segment_.length - 1 - i : segment_.begin + i; }
    float const* input(index_t i) const { return i < 0 ? initial_ + (history_ + i) * a_.x.cols : a_.x.row(row(i)); }
    void place_gradient(index_t i, std::size_t at, Tile& tile) const {
        index_t const carried_out = i - (segment_.length - history_);
        if (carried_out >= 0 && !d_final_.empty()) { tile.d_final[at] = d_final_.data() + carried_out * a_.x.cols; }
        if (i >= 0) {
            tile.dx[at] = a_.dx.row(row(i));
            tile.accumulate[at] = a_.accumulate;
        } else if (segment_.d_initial != nullptr) {
            tile.dx[at] = segment_.d_initial + (history_ + i) * a_.x.cols;
        }
    }

    CausalConv1dBackwardArgs const& a_;
    ConvBackwardSegment const& segment_;
    index_t history_;
    float const* initial_;
    std::vector<float> d_final_;
};

void backward(CausalConv1dBackwardArgs const& a) {
    index_t const taps = a.weight.rows;
    Sums sums(taps, a.x.cols);
    std::vector<float> const zeros(sums.ds.size());
    for (auto const& segment : a.segments) {
        Rows const rows(a, segment, zeros.data());
        std::fill(sums.ds.begin(), sums.ds.end(), 0.0F);
        index_t begin = 0;
        do { // also once without rows, to hand d_final on; behind the last row ds is 0
            Tile tile = rows.tile(begin);
            begin += tile.rows;
            taps == kUsualConv ? differentiate_tile<kUsualConv>(a, tile, sums) : differentiate_tile<0>(a, tile, sums);
        } while (begin < segment.length);
    }
    for (index_t c = 0; c < a.x.cols; ++c) {
        for (index_t k = 0; k < taps; ++k) {
            a.dweight(k, c) += static_cast<float>(sums.dweight[static_cast<std::size_t>(k * a.x.cols + c)]);
        }
        if (!a.dbias.empty()) { a.dbias(c) += static_cast<float>(sums.dbias[static_cast<std::size_t>(c)]); }
    }
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(backward);
void causal_conv1d_backward_cpu(CausalConv1dBackwardArgs const& args) { HWY_DYNAMIC_DISPATCH(backward)(args); }
} // namespace strandwave
#endif
