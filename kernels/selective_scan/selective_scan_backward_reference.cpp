#include "kernels/selective_scan/selective_scan_backward_reference.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strandwave {
namespace {

template <class Real>
Real softplus(Real x) {
    return x > Real{20} ? x : std::log1p(std::exp(x));
}

template <class Real>
Real sigmoid(Real x) {
    return Real{1} / (Real{1} + std::exp(-x));
}

/// One segment of the problem in `Real`.
template <class Real>
class SegmentGradients {
public:
    SegmentGradients(SelectiveScanBackwardArgs const& args, ScanBackwardSegment const& segment,
                     SelectiveScanGradients<Real>& gradients)
        : a(args), s(segment), out(gradients), E(args.u.cols), N(args.A.rows) {}

    void run() {
        std::vector<Real> g(size(N * E), Real{0}); // dL/dh behind the row in turn
        if (s.d_final != nullptr) { g.assign(s.d_final, s.d_final + N * E); }
        auto const h = states();
        for (index_t i = s.length - 1; i >= 0; --i) {
            for (index_t e = 0; e < E; ++e) {
                step_back(row(i), e, h.data() + i * N * E, g);
            }
        }
        out.d_initial.push_back(std::move(g));
    }

private:
    static std::size_t size(index_t count) { return static_cast<std::size_t>(count); }

    /// The i-th row in time.
    index_t row(index_t i) const { return a.reverse ? s.begin + s.length - 1 - i : s.begin + i; }

    Real biased_delta(index_t t, index_t e) const {
        Real const bias = a.delta_bias.empty() ? Real{0} : static_cast<Real>(a.delta_bias(e));
        return static_cast<Real>(a.delta(t, e)) + bias;
    }

    /// h before the first row and behind each row, [length + 1][N, E].
    std::vector<Real> states() const {
        std::vector<Real> h(size((s.length + 1) * N * E), Real{0});
        if (s.initial != nullptr) { std::copy_n(s.initial, N * E, h.begin()); }
        for (index_t i = 0; i < s.length; ++i) {
            index_t const t = row(i);
            for (index_t k = 0; k < N * E; ++k) {
                index_t const n = k / E;
                index_t const e = k % E;
                Real const dt = softplus(biased_delta(t, e));
                h[size((i + 1) * N * E + k)] = std::exp(dt * static_cast<Real>(a.A(n, e))) * h[size(i * N * E + k)] +
                                               dt * static_cast<Real>(a.B(t, n)) * static_cast<Real>(a.u(t, e));
            }
        }
        return h;
    }

    /// dL/ds, where s is y before the gate; with a gate, dz on the way.
    Real through_gate(index_t t, index_t e, Real before_gate) {
        auto const dy = static_cast<Real>(a.dy(t, e));
        if (a.z.data == nullptr) {
            out.y[size(t * E + e)] = before_gate;
            return dy;
        }
        auto const z = static_cast<Real>(a.z(t, e));
        Real const gate = sigmoid(z);
        out.y[size(t * E + e)] = before_gate * z * gate;
        out.dz[size(t * E + e)] = dy * before_gate * gate * (Real{1} + z * (Real{1} - gate));
        return dy * z * gate;
    }

    /// Row t of channel e: `before` is h before the row, the next N * E are h behind it; g goes from behind the row to
    /// before it.
    void step_back(index_t t, index_t e, Real const* before, std::vector<Real>& g) {
        Real const dt = softplus(biased_delta(t, e));
        auto const u = static_cast<Real>(a.u(t, e));
        auto const skip = static_cast<Real>(a.D(e));
        Real const* behind = before + N * E;
        Real sum = 0;
        for (index_t n = 0; n < N; ++n) {
            sum += static_cast<Real>(a.C(t, n)) * behind[n * E + e];
        }
        Real const ds = through_gate(t, e, sum + skip * u);
        Real g_b = 0;
        Real ddt = 0;
        for (index_t n = 0; n < N; ++n) {
            auto const A = static_cast<Real>(a.A(n, e));
            auto const B = static_cast<Real>(a.B(t, n));
            Real& dh = g[size(n * E + e)];
            dh += static_cast<Real>(a.C(t, n)) * ds;
            Real const decay = std::exp(dt * A);
            Real const kept = decay * before[n * E + e];
            out.dC[size(t * N + n)] += ds * behind[n * E + e];
            out.dB[size(t * N + n)] += dh * dt * u;
            out.dA[size(n * E + e)] += dh * dt * kept;
            g_b += dh * B;
            ddt += dh * (B * u + A * kept);
            dh *= decay;
        }
        Real const ddelta = ddt * sigmoid(biased_delta(t, e));
        out.du[size(t * E + e)] = skip * ds + dt * g_b;
        out.ddelta[size(t * E + e)] = ddelta;
        out.dD[size(e)] += ds * u;
        out.ddelta_bias[size(e)] += ddelta;
    }

    SelectiveScanBackwardArgs const& a;
    ScanBackwardSegment const& s;
    SelectiveScanGradients<Real>& out;
    index_t E, N;
};

} // namespace

template <class Real>
SelectiveScanGradients<Real> selective_scan_backward_reference(SelectiveScanBackwardArgs const& a) {
    auto const zeros = [](index_t count) { return std::vector<Real>(static_cast<std::size_t>(count), Real{0}); };
    SelectiveScanGradients<Real> out;
    out.du = out.ddelta = out.y = zeros(a.u.rows * a.u.cols);
    if (a.z.data != nullptr) { out.dz = out.du; }
    out.dB = out.dC = zeros(a.B.rows * a.B.cols);
    out.dA = zeros(a.A.rows * a.A.cols);
    out.dD = out.ddelta_bias = zeros(a.u.cols);
    for (auto const& segment : a.segments) {
        SegmentGradients<Real>(a, segment, out).run();
    }
    return out;
}

template SelectiveScanGradients<double> selective_scan_backward_reference(SelectiveScanBackwardArgs const& args);
template SelectiveScanGradients<float> selective_scan_backward_reference(SelectiveScanBackwardArgs const& args);

} // namespace strandwave
