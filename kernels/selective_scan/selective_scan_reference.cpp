#include "kernels/selective_scan/selective_scan_reference.h"

#include <cmath>
#include <utility>

namespace strandwave {
namespace {

template <class Real>
Real softplus(Real x) {
    return x > Real{20} ? x : std::log1p(std::exp(x));
}

template <class Real>
Real silu(Real x) {
    return x / (Real{1} + std::exp(-x));
}

/// One row of time for channel e; h is [N, E].
template <class Real>
Real step(SelectiveScanArgs const& a, index_t t, index_t e, std::vector<Real>& h) {
    Real const bias = a.delta_bias.empty() ? Real{0} : static_cast<Real>(a.delta_bias(e));
    Real const dt = softplus(static_cast<Real>(a.delta(t, e)) + bias);
    auto const u = static_cast<Real>(a.u(t, e));
    Real y = 0;
    for (index_t n = 0; n < a.A.rows; ++n) {
        Real& state = h[static_cast<std::size_t>(n * a.A.cols + e)];
        state = std::exp(dt * static_cast<Real>(a.A(n, e))) * state + dt * static_cast<Real>(a.B(t, n)) * u;
        y += static_cast<Real>(a.C(t, n)) * state;
    }
    y += static_cast<Real>(a.D(e)) * u;
    return a.z.data == nullptr ? y : y * silu(static_cast<Real>(a.z(t, e)));
}

} // namespace

template <class Real>
ScanOutput<Real> selective_scan_reference(SelectiveScanArgs const& a) {
    auto const state_size = static_cast<std::size_t>(a.A.rows * a.A.cols);
    ScanOutput<Real> out;
    out.y.assign(static_cast<std::size_t>(a.u.rows * a.u.cols), Real{0});
    for (auto const& segment : a.segments) {
        std::vector<Real> h(state_size, Real{0});
        if (segment.initial != nullptr) { h.assign(segment.initial, segment.initial + state_size); }
        for (index_t i = 0; i < segment.length; ++i) {
            index_t const t = a.reverse ? segment.begin + segment.length - 1 - i : segment.begin + i;
            for (index_t e = 0; e < a.u.cols; ++e) {
                out.y[static_cast<std::size_t>(t * a.u.cols + e)] = step(a, t, e, h);
            }
        }
        out.final.push_back(std::move(h));
    }
    return out;
}

template ScanOutput<double> selective_scan_reference(SelectiveScanArgs const& args);
template ScanOutput<float> selective_scan_reference(SelectiveScanArgs const& args);

} // namespace strandwave
