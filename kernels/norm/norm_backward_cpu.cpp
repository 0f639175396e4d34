#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/norm/norm_backward_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/norm/norm_backward_cpu.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

/// Rows that are worked on together: their sums first, then their channels, whose parameter gradients stay in
/// registers from row to row and are added to double behind each tile.
constexpr index_t kTileRows = 16;

/// What a row's gradient is made of: dx = factor * (dy * weight - shift - (x - mean) * along).
struct RowSums {
    float mean = 0.0F;
    float factor = 0.0F; ///< 1 / sqrt(var + epsilon)
    float shift = 0.0F;  ///< mean(g); 0 of RMS norm
    float along = 0.0F;  ///< mean(g * n) * factor
};

/// Sum of body(channels) over a row in double: vectors, then the rest one by one. `body` takes a tag for double, a tag
/// for as many floats, and the channel.
template <class Body>
HWY_INLINE double row_sum(index_t channels, Body const& body) {
    hn::ScalableTag<double> const d;
    hn::CappedTag<double, 1> const d1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    auto sum = hn::Zero(d);
    index_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        sum = hn::Add(sum, body(d, hn::Rebind<float, decltype(d)>(), c));
    }
    double total = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; c < channels; ++c) {
        total += hn::GetLane(body(d1, hn::Rebind<float, decltype(d1)>(), c));
    }
    return total;
}

RowSums sums_of_row(NormBackwardArgs const& a, bool centred, index_t t) {
    index_t const channels = a.x.cols;
    auto const n = static_cast<double>(channels);
    float const* x = a.x.row(t);
    float const* dy = a.dy.row(t);
    auto const gradient = [&](auto d, auto df, index_t c) HWY_ATTR {
        auto const g = hn::PromoteTo(d, hn::LoadU(df, dy + c));
        return a.weight.empty() ? g : hn::Mul(g, hn::PromoteTo(d, hn::LoadU(df, a.weight.data + c)));
    };
    auto const load = [&](auto d, auto df, index_t c) HWY_ATTR { return hn::PromoteTo(d, hn::LoadU(df, x + c)); };
    double const mean = centred ? row_sum(channels, load) / n : 0.0;
    double const total = centred ? row_sum(channels, gradient) / n : 0.0;
    auto const difference = [&](auto d, auto df, index_t c)
                                HWY_ATTR { return hn::Sub(load(d, df, c), hn::Set(d, mean)); };
    double const squares = row_sum(channels, [&](auto d, auto df, index_t c) HWY_ATTR {
        auto const v = difference(d, df, c);
        return hn::Mul(v, v);
    });
    double const along = row_sum(channels, [&](auto d, auto df, index_t c)
                                               HWY_ATTR { return hn::Mul(gradient(d, df, c), difference(d, df, c)); });
    double const factor = 1.0 / std::sqrt(squares / n + static_cast<double>(a.epsilon));
    return {static_cast<float>(mean), static_cast<float>(factor), static_cast<float>(total),
            static_cast<float>(along / n * factor * factor)};
}

/// The channels [c, c + Lanes) of a tile's rows.
template <class D>
HWY_INLINE void differentiate(D d, NormBackwardArgs const& a, RowSums const* sums, index_t begin, index_t rows,
                              index_t c, double* dweight, double* dbias) {
    auto const weight = a.weight.empty() ? hn::Set(d, 1.0F) : hn::LoadU(d, a.weight.data + c);
    auto weight_sum = hn::Zero(d);
    auto bias_sum = hn::Zero(d);
    for (index_t i = 0; i < rows; ++i) {
        RowSums const& s = sums[i];
        auto const factor = hn::Set(d, s.factor);
        auto const difference = hn::Sub(hn::LoadU(d, a.x.row(begin + i) + c), hn::Set(d, s.mean));
        auto const dy = hn::LoadU(d, a.dy.row(begin + i) + c);
        auto const g = hn::MulSub(dy, weight, hn::Set(d, s.shift));
        auto dx = hn::Mul(factor, hn::NegMulAdd(difference, hn::Set(d, s.along), g));
        float* const to = a.dx.row(begin + i) + c;
        if (a.accumulate) { dx = hn::Add(hn::LoadU(d, to), dx); }
        hn::StoreU(dx, d, to);
        weight_sum = hn::MulAdd(dy, hn::Mul(difference, factor), weight_sum);
        bias_sum = hn::Add(bias_sum, dy);
    }
    std::array<float, hn::MaxLanes(hn::ScalableTag<float>())> lanes{};
    auto const add_lanes = [&](auto const& vector, double* to) HWY_ATTR {
        hn::StoreU(vector, d, lanes.data());
        for (std::size_t l = 0; l < hn::Lanes(d); ++l) {
            to[c + static_cast<index_t>(l)] += static_cast<double>(lanes[l]);
        }
    };
    if (!a.dweight.empty()) { add_lanes(weight_sum, dweight); }
    if (!a.dbias.empty()) { add_lanes(bias_sum, dbias); }
}

void add_to(View<float, 1> to, std::vector<double> const& sums) {
    for (index_t c = 0; c < to.size; ++c) {
        to(c) += static_cast<float>(sums[static_cast<std::size_t>(c)]);
    }
}

void backward(NormBackwardArgs const& a, bool centred) {
    hn::ScalableTag<float> const d;
    hn::CappedTag<float, 1> const d1;
    auto const lanes = static_cast<index_t>(hn::Lanes(d));
    std::vector<double> dweight(static_cast<std::size_t>(a.dweight.size), 0.0);
    std::vector<double> dbias(static_cast<std::size_t>(a.dbias.size), 0.0);
    std::array<RowSums, kTileRows> sums{};
    for (index_t begin = 0; begin < a.x.rows; begin += kTileRows) {
        index_t const rows = std::min(kTileRows, a.x.rows - begin);
        for (index_t i = 0; i < rows; ++i) {
            sums[static_cast<std::size_t>(i)] = sums_of_row(a, centred, begin + i);
        }
        index_t c = 0;
        for (; c + lanes <= a.x.cols; c += lanes) {
            differentiate(d, a, sums.data(), begin, rows, c, dweight.data(), dbias.data());
        }
        for (; c < a.x.cols; ++c) {
            differentiate(d1, a, sums.data(), begin, rows, c, dweight.data(), dbias.data());
        }
    }
    add_to(a.dweight, dweight);
    add_to(a.dbias, dbias);
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(backward);
void norm_backward_cpu(NormBackwardArgs const& args, bool centred) { HWY_DYNAMIC_DISPATCH(backward)(args, centred); }
} // namespace strandwave
#endif
