#include "kernels/selective_scan/selective_scan_backward_reference.h"
#include "kernels/selective_scan/selective_scan_reference.h"
#include "lib/core/random.h"
#include "tests/kernels/selective_scan_backward_problem.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using namespace testing::scan_backward;
using testing::GuardedMatrix;

/// The loss that these tests differentiate: dy and d_final are its weights of y and of the final states.
double loss(Problem& p, Segments& segments, SelectiveScanBackwardArgs const& args) {
    auto const forward = segments.forward();
    auto const out = selective_scan_reference<double>({.u = args.u,
                                                       .delta = args.delta,
                                                       .A = args.A,
                                                       .B = args.B,
                                                       .C = args.C,
                                                       .D = args.D,
                                                       .delta_bias = args.delta_bias,
                                                       .z = args.z,
                                                       .segments = forward,
                                                       .reverse = args.reverse,
                                                       .y = p.y.view()});
    double sum = 0;
    for (index_t t = 0; t < p.rows; ++t) {
        for (index_t e = 0; e < p.d_inner && segments.covers(t); ++e) {
            sum += static_cast<double>(p.dy.view()(t, e)) * out.y[static_cast<std::size_t>(t * p.d_inner + e)];
        }
    }
    for (std::size_t i = 0; i < out.final.size(); ++i) {
        for (std::size_t k = 0; k < out.final[i].size(); ++k) {
            sum += static_cast<double>(segments.d_final[i].data()[k]) * out.final[i][k];
        }
    }
    return sum;
}

/// Every element of an input against central differences of fourth order. Inputs are floats: they are on a grid of
/// 2^-12 below 2^4, so that steps of 2^-9 are exact. The error is h^4/30 f''''' + 3 eps |L| / h: 5e-13 f''''' + 1e-10.
template <class Loss>
void expect_derivative(char const* name, GuardedMatrix& input, std::vector<double> const& gradient,
                       Loss const& loss_now) {
    auto const view = input.view();
    for (index_t r = 0; r < view.rows; ++r) {
        for (index_t c = 0; c < view.cols; ++c) {
            float const middle = view(r, c);
            constexpr double kStep = 1.0 / 512;
            auto const at = [&](double steps) {
                view(r, c) = static_cast<float>(middle + steps * kStep);
                return loss_now();
            };
            double const difference = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * kStep);
            view(r, c) = middle;
            double const actual = gradient[static_cast<std::size_t>(r * view.cols + c)];
            EXPECT_NEAR(actual, difference, 1e-8 * std::max(1.0, std::abs(difference)))
                << name << "(" << r << ", " << c << ")";
        }
    }
}

void expect_derivatives(bool reverse, bool gate, bool bias) {
    SCOPED_TRACE(std::string(reverse ? "reverse" : "forward") + (gate ? ", gate" : "") + (bias ? ", bias" : ""));
    Problem p(9, 3, 2);
    Segments segments({{0, 4}, {4, 0}, {5, 1}, {6, 3}}, 2, 3, 11);
    Random random(3);
    auto const grid = [](double x) { return std::round(x * 4096) / 4096; };
    for (auto* matrix : {&p.u, &p.delta, &p.B, &p.C, &p.D, &p.bias, &p.z}) {
        matrix->fill([&] { return grid(random.normal()); });
    }
    p.A.fill([&] { return grid(random.uniform(-2.0, -0.1)); });
    for (auto& initial : segments.initial) {
        initial.fill([&] { return grid(random.normal()); });
    }
    auto args = p.args(segments.list, reverse);
    if (!gate) { args.z = {}; }
    if (!bias) { args.delta_bias = {}; }
    auto const gradients = selective_scan_backward_reference<double>(args);
    auto const loss_now = [&] { return loss(p, segments, args); };
    expect_derivative("u", p.u, gradients.du, loss_now);
    expect_derivative("delta", p.delta, gradients.ddelta, loss_now);
    expect_derivative("A", p.A, gradients.dA, loss_now);
    expect_derivative("B", p.B, gradients.dB, loss_now);
    expect_derivative("C", p.C, gradients.dC, loss_now);
    expect_derivative("D", p.D, gradients.dD, loss_now);
    if (gate) { expect_derivative("z", p.z, gradients.dz, loss_now); }
    if (bias) { expect_derivative("delta_bias", p.bias, gradients.ddelta_bias, loss_now); }
    for (std::size_t i = 0; i < segments.initial.size(); ++i) {
        expect_derivative("initial", segments.initial[i], gradients.d_initial[i], loss_now);
    }
}

TEST(SelectiveScanBackward, ReferenceIsTheDerivativeOfTheForwardReference) {
    for (bool const reverse : {false, true}) {
        expect_derivatives(reverse, true, true);
        expect_derivatives(reverse, false, true);
        expect_derivatives(reverse, true, false);
    }
}

} // namespace
} // namespace strandwave
