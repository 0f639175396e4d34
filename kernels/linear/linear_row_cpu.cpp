#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/linear/linear_row_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "kernels/linear/linear_row_cpu.h"

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace strandwave {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr index_t kLanes = hn::MaxLanes(D());
constexpr index_t kVectors = kLinearPanel / kLanes;

/// Adds a panel's products with x to its sums.
void multiply_panel(float const* HWY_RESTRICT w, View<float const, 1> x, V* HWY_RESTRICT sum) {
    D const d;
    for (index_t i = 0; i < x.size; ++i, w += kLinearPanel) {
        V const xi = hn::Set(d, x(i));
        HWY_UNROLL(16)
        for (index_t v = 0; v < kVectors; ++v) {
            sum[v] = hn::MulAdd(hn::LoadU(d, w + v * kLanes), xi, sum[v]);
        }
    }
}

/// The same in bf16, of pairs: the first one is the lower half. What is the upper half of a float is its bf16.
void multiply_panel(std::uint32_t const* HWY_RESTRICT w, View<float const, 1> x, V* HWY_RESTRICT sum) {
    D const d;
    hn::RebindToUnsigned<D> const du;
    auto const upper = hn::Set(du, 0xffff0000U);
    for (index_t i = 0; i < x.size; i += 2, w += kLinearPanel) {
        V const first = hn::Set(d, x(i));
        V const second = hn::Set(d, i + 1 < x.size ? x(i + 1) : 0.0F);
        HWY_UNROLL(16)
        for (index_t v = 0; v < kVectors; ++v) {
            auto const pair = hn::LoadU(du, w + v * kLanes);
            sum[v] = hn::MulAdd(hn::BitCast(d, hn::ShiftLeft<16>(pair)), first, sum[v]);
            sum[v] = hn::MulAdd(hn::BitCast(d, hn::And(pair, upper)), second, sum[v]);
        }
    }
}

/// `valid`: how many of the panel's outputs there are.
void finish_panel(V const* sum, float const* bias, bool accumulate, index_t valid, float* HWY_RESTRICT y) {
    HWY_ALIGN float sums[kLinearPanel];
    for (index_t v = 0; v < kVectors; ++v) {
        hn::Store(sum[v], D(), sums + v * kLanes);
    }
    for (index_t o = 0; o < valid; ++o) {
        float const value = bias == nullptr ? sums[o] : sums[o] + bias[o];
        y[o] = accumulate ? y[o] + value : value;
    }
}

template <class Element>
void multiply(LinearPanels const& weight, View<float const, 1> x, View<float const, 1> bias, bool accumulate,
              View<float, 1> y) {
    auto const* w = static_cast<Element const*>(weight.data);
    index_t const step = weight.step * dtype_bytes(weight.dtype) / static_cast<index_t>(sizeof(Element));
    for (index_t o = 0; o < weight.out; o += kLinearPanel, w += step) {
        V sum[kVectors];
        for (V& s : sum) {
            s = hn::Zero(D());
        }
        multiply_panel(w, x, sum);
        finish_panel(sum, bias.empty() ? nullptr : bias.data + o, accumulate, std::min(kLinearPanel, weight.out - o),
                     y.data + o);
    }
}

void linear_row(LinearPanels const& weight, View<float const, 1> x, View<float const, 1> bias, bool accumulate,
                View<float, 1> y) {
    auto const run = weight.dtype == DType::f32 ? multiply<float> : multiply<std::uint32_t>;
    run(weight, x, bias, accumulate, y);
}

} // namespace
} // namespace HWY_NAMESPACE
} // namespace strandwave
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace strandwave {
HWY_EXPORT(linear_row);
void linear_row_cpu(LinearPanels const& weight, View<float const, 1> x, View<float const, 1> bias, bool accumulate,
                    View<float, 1> y) {
    HWY_DYNAMIC_DISPATCH(linear_row)(weight, x, bias, accumulate, y);
}
} // namespace strandwave
#endif
