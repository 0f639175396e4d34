#include "kernels/selective_scan/selective_scan.h"

#include "kernels/selective_scan/selective_scan_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <cmath>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;
using testing::on_every_simd_target;

/// A scan problem with random inputs of the sizes that trained models have: dt from 1e-4 to 2, A from -0.1 to -20.
struct Problem {
    Problem(index_t rows_, index_t d_inner_, index_t d_state_, std::uint64_t seed = 1)
        : rows(rows_), d_inner(d_inner_), d_state(d_state_), u(rows, d_inner, 3), delta(rows, d_inner),
          A(d_state, d_inner), B(rows, d_state, 5), C(rows, d_state, 2), D(1, d_inner), bias(1, d_inner),
          z(rows, d_inner, d_inner), y(rows, d_inner, 1) {
        Random random(seed);
        auto const normal = [&] { return random.normal(); };
        for (auto* matrix : {&u, &B, &C, &D, &z}) {
            matrix->fill(normal);
        }
        delta.fill([&] { return 2.0 * random.normal(); });
        A.fill([&] { return -std::exp(random.uniform(-2.3, 3.0)); });
        bias.fill([&] { return random.uniform(-7.0, 0.5); });
    }

    SelectiveScanArgs args(std::span<ScanSegment const> segments, bool reverse = false) {
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
                .y = y.view()};
    }

    std::vector<float> result() {
        std::vector<float> copy;
        for (index_t t = 0; t < rows; ++t) {
            copy.insert(copy.end(), y.view().row(t), y.view().row(t) + d_inner);
        }
        return copy;
    }

    index_t rows, d_inner, d_state;
    GuardedMatrix u, delta, A, B, C, D, bias, z, y;
};

bool same_bits(std::vector<float> const& a, std::vector<float> const& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void expect_right(index_t rows, index_t d_inner, index_t d_state, bool reverse) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(d_inner) + " x " + std::to_string(d_state) +
                 (reverse ? " reverse" : ""));
    Problem p(rows, d_inner, d_state);
    GuardedMatrix initial(d_state, d_inner);
    GuardedMatrix final(d_state, d_inner);
    Random random(7);
    initial.fill([&] { return random.normal(); });
    std::vector<ScanSegment> const segments{{0, rows, initial.data(), final.data()}};
    auto const args = p.args(segments, reverse);
    auto const exact = selective_scan_reference<double>(args);
    auto const plain = selective_scan_reference<float>(args);
    selective_scan(args);
    testing::expect_within_twice(p.y.view(), exact.y.data(), plain.y.data());
    testing::expect_within_twice(final.view(), exact.final[0].data(), plain.final[0].data());
    p.y.expect_guards("y");
    final.expect_guards("final state");
}

TEST(SelectiveScan, IsWithinTwiceTheErrorOfAPlainLoop) {
    on_every_simd_target([] {
        for (index_t const rows : {1, 2, 63, 64, 65, 131, 257}) {
            expect_right(rows, 37, 16, false);
        }
        for (index_t const d_inner : {1, 7, 15, 16, 17, 48, 131}) {
            expect_right(70, d_inner, 16, false);
        }
        for (index_t const d_state : {1, 3, 4, 5, 16, 19, 33, 256}) {
            expect_right(67, 18, d_state, false);
        }
        expect_right(131, 37, 16, true);
        expect_right(64, 16, 5, true);
    });
}

TEST(SelectiveScan, WithoutGateAndBias) {
    on_every_simd_target([] {
        Problem p(99, 20, 16);
        std::vector<ScanSegment> const segments{{0, 99}};
        auto args = p.args(segments);
        args.z = {};
        args.delta_bias = {};
        auto const exact = selective_scan_reference<double>(args);
        auto const plain = selective_scan_reference<float>(args);
        selective_scan(args);
        testing::expect_within_twice(p.y.view(), exact.y.data(), plain.y.data());
    });
}

/// u = B = C = 1, dt = 1, A = log(1/2): h is the geometric series 2 - 2^-t.
TEST(SelectiveScan, ConstantInputsGiveTheGeometricSeries) {
    on_every_simd_target([] {
        constexpr index_t kRows = 150;
        Problem p(kRows, 16, 1);
        auto const constant = [](double value) { return [value] { return value; }; };
        for (auto* matrix : {&p.u, &p.B, &p.C}) {
            matrix->fill(constant(1));
        }
        p.D.fill(constant(0));
        p.bias.fill(constant(0));
        p.delta.fill(constant(std::log(std::exp(1.0) - 1)));
        p.A.fill(constant(std::log(0.5)));
        std::vector<ScanSegment> const segments{{0, kRows}};
        auto args = p.args(segments);
        args.z = {};
        selective_scan(args);
        for (index_t t = 0; t < kRows; ++t) {
            // dt is softplus of a rounded number, so each decay is off by about an ulp.
            EXPECT_NEAR(p.y.view()(t, 3), 2.0 - std::pow(0.5, static_cast<double>(t)), 1e-6);
        }
    });
}

TEST(SelectiveScan, PiecesOfAnyLengthGiveTheBitsOfOneCall) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            Problem p(300, 21, 16);
            std::vector<float> final(static_cast<std::size_t>(16 * 21));
            std::vector<ScanSegment> const whole{{0, 300, nullptr, final.data()}};
            selective_scan(p.args(whole, reverse));
            auto const expected = p.result();
            for (index_t const piece : {1, 7, 64, 65, 299}) {
                p.y.poison_again();
                std::vector<float> state(final.size(), 0.0F);
                for (index_t done = 0; done < 300; done += piece) {
                    index_t const length = std::min<index_t>(piece, 300 - done);
                    index_t const begin = reverse ? 300 - done - length : done;
                    std::vector<ScanSegment> const part{{begin, length, state.data(), state.data()}};
                    selective_scan(p.args(part, reverse));
                }
                EXPECT_TRUE(same_bits(p.result(), expected)) << "pieces of " << piece;
                EXPECT_TRUE(same_bits(state, final)) << "pieces of " << piece;
            }
        }
    });
}

TEST(SelectiveScan, PackedRecordsDoNotSeeEachOther) {
    on_every_simd_target([] {
        Problem together(200, 19, 16, 3);
        std::vector<ScanSegment> const segments{{0, 50}, {50, 1}, {51, 0}, {51, 149}};
        selective_scan(together.args(segments));
        auto const packed = together.result();
        for (auto const& segment : segments) {
            together.y.poison_again();
            std::vector<ScanSegment> const alone{segment};
            selective_scan(together.args(alone));
            for (index_t t = segment.begin; t < segment.begin + segment.length; ++t) {
                ASSERT_EQ(std::memcmp(together.y.view().row(t), packed.data() + t * 19, 19 * sizeof(float)), 0);
            }
        }
    });
}

TEST(SelectiveScan, LaterInputsDoNotChangeEarlierOutputs) {
    Problem p(100, 16, 8);
    std::vector<ScanSegment> const segments{{0, 100}};
    selective_scan(p.args(segments));
    auto const before = p.result();
    for (index_t t = 60; t < 100; ++t) {
        p.u.view()(t, 5) = 1000.0F;
    }
    selective_scan(p.args(segments));
    auto const after = p.result();
    EXPECT_EQ(std::memcmp(before.data(), after.data(), 60 * 16 * sizeof(float)), 0);
    EXPECT_NE(before[60 * 16 + 5], after[60 * 16 + 5]);
}

TEST(SelectiveScan, YMayTakeThePlaceOfU) {
    Problem p(130, 24, 16);
    std::vector<ScanSegment> const segments{{0, 130}};
    selective_scan(p.args(segments));
    auto const expected = p.result();
    auto args = p.args(segments);
    args.y = p.u.view();
    selective_scan(args);
    for (index_t t = 0; t < 130; ++t) {
        ASSERT_EQ(std::memcmp(p.u.view().row(t), expected.data() + t * 24, 24 * sizeof(float)), 0);
    }
}

TEST(SelectiveScan, ExtremeStepsDecayToZeroAndNeverToNan) {
    on_every_simd_target([] {
        Problem p(40, 16, 4);
        Random random(5);
        p.delta.fill([&] { return random.uniform() < 0.5 ? 1e4 : -1e4; });
        p.A.fill([&] { return random.uniform() < 0.5 ? -1e6 : -1e-6; });
        std::vector<ScanSegment> const segments{{0, 40}};
        auto const args = p.args(segments);
        auto const exact = selective_scan_reference<double>(args);
        auto const plain = selective_scan_reference<float>(args);
        selective_scan(args);
        testing::expect_within_twice(p.y.view(), exact.y.data(), plain.y.data());
    });
}

TEST(SelectiveScan, RefusesShapesThatDisagree) {
    Problem p(10, 16, 4);
    std::vector<ScanSegment> const segments{{0, 11}};
    EXPECT_THROW(selective_scan(p.args(segments)), Error);
    Problem large(1, 1, kMaxState + 1);
    std::vector<ScanSegment> const one{{0, 1}};
    EXPECT_THROW(selective_scan(large.args(one)), Error);
    auto args = p.args(one);
    args.B = large.B.view();
    EXPECT_THROW(selective_scan(args), Error);
}

} // namespace
} // namespace strandwave
