#pragma once

#include "kernels/selective_scan/selective_scan_backward_reference.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// What the tests of selective_scan_backward share: random problems, and the rule for their errors.
namespace strandwave::testing::scan_backward {

/// Segments with states and gradients that come in, random, and gradients that go out.
struct Segments {
    Segments(std::vector<std::pair<index_t, index_t>> const& runs, index_t d_state, index_t d_inner,
             std::uint64_t seed) {
        Random random(seed);
        auto const normal = [&] { return random.normal(); };
        for (auto const& [begin, length] : runs) {
            initial.emplace_back(d_state, d_inner).fill(normal);
            d_final.emplace_back(d_state, d_inner).fill(normal);
            d_initial.emplace_back(d_state, d_inner);
            list.push_back({begin, length, initial.back().data(), d_final.back().data(), d_initial.back().data()});
        }
    }

    std::vector<ScanSegment> forward() const {
        std::vector<ScanSegment> segments;
        for (auto const& segment : list) {
            segments.push_back({segment.begin, segment.length, segment.initial});
        }
        return segments;
    }

    bool covers(index_t row) const {
        return std::any_of(list.begin(), list.end(), [row](auto const& segment) {
            return row >= segment.begin && row < segment.begin + segment.length;
        });
    }

    std::vector<GuardedMatrix> initial, d_final, d_initial;
    std::vector<ScanBackwardSegment> list;
};

/// A problem with random inputs of the sizes that trained models have: dt from 1e-4 to 2, A from -0.1 to -20. Its
/// outputs are poisoned, but for parameter gradients, which are added to: they are 0.
struct Problem {
    Problem(index_t rows_, index_t d_inner_, index_t d_state_, std::uint64_t seed = 1)
        : rows(rows_), d_inner(d_inner_), d_state(d_state_), u(rows, d_inner, 3), delta(rows, d_inner),
          A(d_state, d_inner, 2), B(rows, d_state, 5), C(rows, d_state, 2), D(1, d_inner), bias(1, d_inner),
          z(rows, d_inner, d_inner), dy(rows, d_inner, 1), du(rows, d_inner, 2), ddelta(rows, d_inner),
          dB(rows, d_state, 3), dC(rows, d_state), dz(rows, d_inner, d_inner), y(rows, d_inner, 1),
          dA(d_state, d_inner, 1), dD(1, d_inner), dbias(1, d_inner) {
        Random random(seed);
        for (auto* matrix : {&u, &B, &C, &D, &z, &dy}) {
            matrix->fill([&] { return random.normal(); });
        }
        delta.fill([&] { return 2.0 * random.normal(); });
        A.fill([&] { return -std::exp(random.uniform(-2.3, 3.0)); });
        bias.fill([&] { return random.uniform(-7.0, 0.5); });
        for (auto* matrix : {&dA, &dD, &dbias}) {
            matrix->fill([] { return 0; });
        }
    }

    SelectiveScanBackwardArgs args(std::span<ScanBackwardSegment const> segments, bool reverse = false) {
        return {.u = u.view(),
                .delta = delta.view(),
                .A = A.view(),
                .B = B.view(),
                .C = C.view(),
                .D = D.vector(),
                .delta_bias = bias.vector(),
                .z = z.view(),
                .dy = dy.view(),
                .segments = segments,
                .reverse = reverse,
                .du = du.view(),
                .ddelta = ddelta.view(),
                .dB = dB.view(),
                .dC = dC.view(),
                .dz = dz.view(),
                .y = y.view(),
                .dA = dA.view(),
                .dD = dD.vector(),
                .ddelta_bias = dbias.vector()};
    }

    /// Of the forward pass; `y_out` [rows, d_inner].
    SelectiveScanArgs forward_args(std::span<ScanSegment const> segments, bool reverse, View<float, 2> y_out) {
        return {.u = u.view(),
                .delta = delta.view(),
                .A = A.view(),
                .B = B.view(),
                .C = C.view(),
                .D = D.vector(),
                .delta_bias = bias.vector(),
                .z = z.view(),
                .segments = segments,
                .reverse = reverse,
                .y = y_out};
    }

    std::vector<GuardedMatrix*> row_outputs() { return {&du, &ddelta, &dB, &dC, &dz, &y}; }
    std::vector<GuardedMatrix*> parameter_outputs() { return {&dA, &dD, &dbias}; }

    /// All outputs, one behind the other.
    std::vector<float> results() {
        std::vector<float> copy;
        for (auto* matrix : {&du, &ddelta, &dB, &dC, &dz, &y, &dA, &dD, &dbias}) {
            auto const view = matrix->view();
            for (index_t r = 0; r < view.rows; ++r) {
                copy.insert(copy.end(), view.row(r), view.row(r) + view.cols);
            }
        }
        return copy;
    }

    /// Outputs as they were made: for a second run.
    void reset() {
        for (auto* matrix : row_outputs()) {
            matrix->poison_again();
        }
        for (auto* matrix : parameter_outputs()) {
            matrix->fill([] { return 0; });
        }
    }

    index_t rows, d_inner, d_state;
    GuardedMatrix u, delta, A, B, C, D, bias, z, dy;
    GuardedMatrix du, ddelta, dB, dC, dz, y, dA, dD, dbias;
};

inline bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Rows of no segment are still poisoned; they become 0, what the reference has there.
inline void expect_untouched_rows(Problem& p, Segments const& segments) {
    for (auto* matrix : p.row_outputs()) {
        auto const view = matrix->view();
        for (index_t t = 0; t < view.rows; ++t) {
            if (segments.covers(t)) { continue; }
            for (index_t c = 0; c < view.cols; ++c) {
                EXPECT_TRUE(std::isnan(view(t, c))) << "row " << t;
                view(t, c) = 0;
            }
        }
    }
}

/// Errors against double, of the kernel and of a plain fp32 loop: mean squares, as a part of the largest value.
struct Errors {
    double kernel = 0;
    double plain = 0;

    void add(View<float const, 2> actual, std::vector<double> const& exact, std::vector<float> const& loop) {
        double largest = 0;
        double kernel_sum = 0;
        double plain_sum = 0;
        for (std::size_t i = 0; i < exact.size(); ++i) {
            auto const k = static_cast<index_t>(i);
            largest = std::max(largest, std::abs(exact[i]));
            kernel_sum += std::pow(static_cast<double>(actual(k / actual.cols, k % actual.cols)) - exact[i], 2);
            plain_sum += std::pow(static_cast<double>(loop[i]) - exact[i], 2);
        }
        double const scale = largest * largest * static_cast<double>(exact.size());
        kernel += kernel_sum / scale;
        plain += plain_sum / scale;
    }
};

/// The rule for every op, an error of at most twice that of a plain fp32 loop, for each output over all cases and for
/// each case over all outputs. (A loop's error on one output of one case may be small by luck: some are a few numbers.)
class ErrorTable {
public:
    void add(std::string const& in_case, char const* name, GuardedMatrix& actual, std::vector<double> const& exact,
             std::vector<float> const& plain) {
        actual.expect_guards(name);
        for (auto* errors : {&of_outputs_[name], &of_cases_[in_case]}) {
            errors->add(actual.view(), exact, plain);
        }
    }

    void add_gradients(std::string const& in_case, Problem& p, SelectiveScanGradients<double> const& exact,
                       SelectiveScanGradients<float> const& plain) {
        add(in_case, "du", p.du, exact.du, plain.du);
        add(in_case, "ddelta", p.ddelta, exact.ddelta, plain.ddelta);
        add(in_case, "dB", p.dB, exact.dB, plain.dB);
        add(in_case, "dC", p.dC, exact.dC, plain.dC);
        add(in_case, "y", p.y, exact.y, plain.y);
        add(in_case, "dA", p.dA, exact.dA, plain.dA);
        add(in_case, "dD", p.dD, exact.dD, plain.dD);
        add(in_case, "ddelta_bias", p.dbias, exact.ddelta_bias, plain.ddelta_bias);
        if (!exact.dz.empty()) { add(in_case, "dz", p.dz, exact.dz, plain.dz); }
    }

    void expect_within_twice() const {
        for (auto const* table : {&of_outputs_, &of_cases_}) {
            for (auto const& [name, errors] : *table) {
                EXPECT_LE(std::sqrt(errors.kernel), 2 * std::sqrt(errors.plain)) << name;
            }
        }
    }

private:
    std::map<std::string, Errors> of_outputs_, of_cases_;
};

} // namespace strandwave::testing::scan_backward
