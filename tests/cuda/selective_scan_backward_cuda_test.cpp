#include "tests/cuda/selective_scan_backward_problem.h"

#include "lib/core/error.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using testing::as_view;
using testing::GpuMatrix;
using testing::scan_backward::Bounds;
using testing::scan_backward::kSlots;
using testing::scan_backward::Options;
using testing::scan_backward::Problem;
using testing::scan_backward::Shape;
using testing::scan_backward::size;

class SelectiveScanBackwardCuda : public testing::GpuTest {};

/// `before` is what was there, if it is added to; its sum is rounded once more.
void expect_bounded(char const* what, GpuMatrix const& actual, DType dtype, std::vector<double> const& exact,
                    std::vector<double> const& bound, std::vector<bool> const& covered, float const* before) {
    auto const values = actual.values();
    auto const cols = values.size() / covered.size();
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!covered[i / cols]) { continue; }
        double const wanted = exact[i] + (before != nullptr ? before[i] : 0.0);
        double const allowed = bound[i] + 0x1p-23 * std::abs(wanted) + 0x1p-120;
        double const rounding = dtype == DType::bf16 ? testing::half_ulp_of_bf16(std::abs(wanted) + allowed) : 0.0;
        ASSERT_LE(std::abs(static_cast<double>(values[i]) - wanted), allowed + rounding)
            << what << " " << i / cols << ", " << i % cols << " should be " << wanted;
    }
}

/// The rule for every op, error at most twice a plain loop's, for the root of the mean square: the largest error, or
/// that of few values, is luck, and each is bounded as well.
void expect_within_twice(char const* what, GpuMatrix const& actual, std::vector<double> const& exact,
                         std::vector<float> const& plain, std::vector<bool> const& covered) {
    auto const values = actual.values();
    auto const cols = values.size() / covered.size();
    double squares = 0;
    double plain_squares = 0;
    double largest = 0;
    double count = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (!covered[i / cols]) { continue; }
        squares += (values[i] - exact[i]) * (values[i] - exact[i]);
        plain_squares += (plain[i] - exact[i]) * (plain[i] - exact[i]);
        largest = std::max(largest, std::abs(exact[i]));
        ++count;
    }
    double const ulp = static_cast<double>(std::numeric_limits<float>::epsilon()) * largest;
    if (count < 4) { return; }
    EXPECT_LE(std::sqrt(squares / count), 2 * std::sqrt(plain_squares / count) + ulp) << what;
}

/// A slot's gradients are those of the segment that starts from it.
template <class Real>
std::vector<Real> by_slot(std::vector<PackedSegment> const& segments, std::vector<std::vector<Real>> const& d_initial,
                          index_t slot_size) {
    std::vector<Real> slots(size(kSlots * slot_size), Real{0});
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i].initial < 0 || segments[i].length == 0) { continue; }
        std::copy(d_initial[i].begin(), d_initial[i].end(), slots.begin() + segments[i].initial * slot_size);
    }
    return slots;
}

struct Output {
    char const* name;
    GpuMatrix const& matrix;
    std::vector<double> const& exact;
    std::vector<float> const& plain;
    std::vector<double> const& bound;
    std::vector<bool> const& covered; ///< rows that are written
    bool is_wanted = true;
    bool is_added = false; ///< to u
};

void expect_right(Problem& p, Output const& o) {
    o.matrix.expect_guards(o.name);
    for (index_t r = 0; r < static_cast<index_t>(o.covered.size()); ++r) {
        if (!o.is_wanted || (!o.covered[size(r)] && !o.is_added)) { o.matrix.expect_row_untouched(r); }
    }
    if (!o.is_wanted) { return; }
    std::vector<float> before;
    for (index_t i = 0; o.is_added && i < p.rows * p.d_inner; ++i) {
        before.push_back(p.u.view()(i / p.d_inner, i % p.d_inner));
    }
    DType const type = o.matrix.view().dtype;
    expect_bounded(o.name, o.matrix, type, o.exact, o.bound, o.covered, o.is_added ? before.data() : nullptr);
    if (p.dtype == DType::f32 && type == DType::f32 && !p.options.delta_is_dt && !o.is_added) {
        expect_within_twice(o.name, o.matrix, o.exact, o.plain, o.covered);
    }
}

/// Runs, and compares all outputs with the double reference, and all else with what was there.
void expect_right(Problem& p, std::vector<PackedSegment> const& segments) {
    std::vector<ScanBackwardSegment> converted;
    auto const args = p.host_args(converted, segments);
    auto const exact = selective_scan_backward_reference<double>(args);
    auto const plain = selective_scan_backward_reference<float>(args);
    auto const bound = Bounds(p, segments, exact).bound;
    p.clear_outputs();
    p.run(segments);
    std::vector<bool> rows(size(p.rows), false);
    std::vector<bool> slots(size(kSlots * p.d_state), false);
    for (auto const& s : segments) {
        std::fill_n(rows.begin() + s.begin, s.length, true);
        if (s.initial >= 0 && s.length > 0) { std::fill_n(slots.begin() + s.initial * p.d_state, p.d_state, true); }
    }
    std::vector<bool> const states(size(p.d_state), true);
    std::vector<bool> const one(1, true);
    bool const adds = p.options.accumulate_gate;
    index_t const slot_size = p.d_state * p.d_inner;
    auto const exact_slots = by_slot(segments, exact.d_initial, slot_size);
    auto const plain_slots = by_slot(segments, plain.d_initial, slot_size);
    auto const bound_slots = by_slot(segments, bound.d_initial, slot_size);
    expect_right(p, {"du", p.du, exact.du, plain.du, bound.du, rows});
    expect_right(p, {"ddelta", p.ddelta, exact.ddelta, plain.ddelta, bound.ddelta, rows});
    expect_right(p, {"dz", p.dz, exact.dz, plain.dz, bound.dz, rows, p.options.gate, adds});
    expect_right(p, {"y", p.y, exact.y, plain.y, bound.y, rows, p.options.wants_y, adds});
    expect_right(p, {"dB", p.dB, exact.dB, plain.dB, bound.dB, rows});
    expect_right(p, {"dC", p.dC, exact.dC, plain.dC, bound.dC, rows});
    expect_right(p, {"dA", p.dA, exact.dA, plain.dA, bound.dA, states});
    expect_right(p, {"dD", p.dD, exact.dD, plain.dD, bound.dD, one});
    expect_right(p, {"ddelta_bias", p.ddelta_bias, exact.ddelta_bias, plain.ddelta_bias, bound.ddelta_bias, one});
    expect_right(p, {"d_initial", p.d_initial, exact_slots, plain_slots, bound_slots, slots});
}

template <class Body>
void for_each_type(Body const& body) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        for (bool const reverse : {false, true}) {
            SCOPED_TRACE(std::string(dtype_name(dtype)) + (reverse ? ", reverse" : ""));
            body(dtype, reverse);
        }
    }
}

void expect_right(DType dtype, Shape const& shape, Options const& options) {
    SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.d_inner) + " x " +
                 std::to_string(shape.d_state) + ", shift " + std::to_string(shape.shift));
    Problem p(dtype, shape, options);
    expect_right(p, {{0, shape.rows, 1, 0}});
}

TEST_F(SelectiveScanBackwardCuda, IsWithinTheBoundOfItsType) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        for (index_t const rows : {1, 3, 15, 16, 17, 31, 32, 33, 63, 255, 256, 257, 1000}) {
            expect_right(dtype, {rows, 20, 16}, options);
        }
        for (index_t const d_inner : {1, 33, 64, 130, 513}) {
            expect_right(dtype, {70, d_inner, 16}, options);
        }
        for (index_t const d_state : {1, 3, 16, 17, 64}) {
            expect_right(dtype, {77, 24, d_state}, options);
        }
        expect_right(dtype, {70, 40, 16, 1}, options); // no vector loads
        expect_right(dtype, {70, 24, 32, 1}, options);
    });
}

/// Many tiles: several chunks of links in all kinds of sums.
TEST_F(SelectiveScanBackwardCuda, LongRecords) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        SCOPED_TRACE(dtype_name(dtype));
        expect_right(dtype, {20000, 5, 3}, {});
        Problem p(dtype, {20000, 3, 2});
        expect_right(p, {{0, 7000, 0, 1}, {7000, 9000, 2, 2}, {16001, 3999, -1, -1}});
        expect_right(p, {{0, 16384, 0, 1}, {16384, 3616, 2, 2}}); // the second begins where a part of the chain does
    }
}

/// Runs of one tile to many, with states of a forward pass and without.
TEST_F(SelectiveScanBackwardCuda, RunsOfAnyLength) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        for (index_t const run_rows : {128, 512, 2048}) {
            for (bool const keeps_states : {false, true}) {
                SCOPED_TRACE("runs of " + std::to_string(run_rows) + (keeps_states ? ", states kept" : ""));
                options.run_rows = run_rows;
                options.keeps_states = keeps_states;
                Problem few(dtype, {1500, 12, 16}, options);
                expect_right(few, {{0, 40, 1, 1}, {50, 700, 2, 2}, {760, 129, -1, -1}, {889, 600, 3, 0}});
                Problem many(dtype, {600, 5, 19}, options);
                expect_right(many, {{0, 550, 1, 1}, {550, 33, -1, 2}});
            }
        }
    });
}

/// Records of many lengths with all kinds of slots, and rows between them that belong to none.
std::vector<PackedSegment> many_records() {
    return {{1, 0, 0, 1},     {1, 1, -1, -1},   {2, 3, 2, 2},    {6, 16, -1, 4},    {22, 17, 5, -1},  {40, 150, 6, 6},
            {190, 256, 7, 7}, {446, 257, 3, 3}, {703, 40, 1, 1}, {743, 100, -1, 0}, {850, 64, 4, -1}, {914, 33, -1, 5}};
}
constexpr index_t kManyRows = 950;

TEST_F(SelectiveScanBackwardCuda, PackedRecordsKeepApart) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        Problem few(dtype, {kManyRows, 40, 16}, options);
        Problem many(dtype, {kManyRows, 7, 19}, options);
        expect_right(few, many_records());
        expect_right(many, many_records());
    });
}

/// Many short ones: their links have two tiles each, or none.
TEST_F(SelectiveScanBackwardCuda, PackedReads) {
    std::vector<PackedSegment> reads;
    for (index_t length = 1, begin = 0; length < 130; begin += length, length += 3) {
        reads.push_back({begin, length});
    }
    index_t const rows = reads.back().begin + reads.back().length;
    for_each_type([&](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        Problem p(dtype, {rows, 9, 5}, options);
        expect_right(p, reads);
    });
}

TEST_F(SelectiveScanBackwardCuda, OptionsAndTypes) {
    for_each_type([](DType dtype, bool reverse) {
        for (int which = 0; which < 6; ++which) {
            SCOPED_TRACE("option " + std::to_string(which));
            Options options;
            options.reverse = reverse;
            options.gate = which != 0;
            options.bias = which != 1 && which != 2;
            options.delta_is_dt = which == 2;
            options.accumulate_gate = which == 3;
            options.wants_y = which != 4;
            if (which == 5) { options.states_type = dtype == DType::f32 ? DType::bf16 : DType::f32; }
            std::vector<PackedSegment> const segments{{0, 60, 1, 0}, {61, 30, -1, -1}};
            Problem few(dtype, {100, 40, 16}, options);
            Problem many(dtype, {100, 7, 19}, options);
            expect_right(few, segments);
            expect_right(many, segments);
        }
    });
}

TEST_F(SelectiveScanBackwardCuda, StepsThatAreVerySmallOrLarge) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        Problem p(dtype, {100, 16, 4});
        Random random(5);
        p.delta.fill([&] { return random.uniform() < 0.5 ? 1e4 : -1e4; });
        p.A.fill([&] { return random.uniform() < 0.5 ? -1e6 : -1e-6; });
        p.put();
        p.run({{0, 100, 1, 0}});
        for (auto const* matrix : {&p.du, &p.ddelta, &p.dz, &p.y, &p.dB, &p.dC, &p.dA, &p.dD, &p.ddelta_bias}) {
            for (float const value : matrix->values()) {
                ASSERT_TRUE(std::isfinite(value));
            }
        }
    }
}

TEST_F(SelectiveScanBackwardCuda, ParameterGradientsAreAddedTo) {
    Problem p(DType::f32, {300, 40, 16});
    std::vector<PackedSegment> const segments{{0, 300, 1, 0}};
    p.run(segments);
    auto const once = p.dA.values();
    auto const once_D = p.dD.values();
    auto const once_bias = p.ddelta_bias.values();
    p.run(segments);
    for (auto const& [now, before] :
         {std::pair{p.dA.values(), once}, {p.dD.values(), once_D}, {p.ddelta_bias.values(), once_bias}}) {
        for (std::size_t i = 0; i < now.size(); ++i) {
            ASSERT_EQ(now[i], 2 * before[i]);
        }
    }
}

/// Without slots, without gradients of the bias, and in place where that is allowed.
TEST_F(SelectiveScanBackwardCuda, WhatMayBeLeftOut) {
    for (auto const dtype : {DType::f32, DType::bf16}) {
        Problem p(dtype, {300, 40, 16});
        std::vector<PackedSegment> const segments{{0, 200}, {200, 100}};
        p.run(segments);
        Problem other(dtype, {300, 40, 16});
        auto args = other.gpu_args();
        args.initial = nullptr;
        args.d_final = nullptr;
        args.d_initial = nullptr;
        args.ddelta_bias = nullptr;
        args.dz = args.dy;
        Problem::run(args, {{0, 200, 1, 1}, {200, 100, 2, 2}}, false);
        EXPECT_EQ(p.du.bits(), other.du.bits());
        EXPECT_EQ(p.dz.bits(), other.gpu_dy.bits());
        EXPECT_EQ(p.dB.bits(), other.dB.bits());
        EXPECT_EQ(p.dA.bits(), other.dA.bits());
    }
}

TEST_F(SelectiveScanBackwardCuda, DInitialMayTakeThePlaceOfDFinal) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        for (index_t const length : {20, 300}) {
            Problem p(dtype, {300, 40, 16}, options);
            std::vector<PackedSegment> const segments{{0, length, 1, 1}};
            p.run(segments);
            auto args = p.gpu_args();
            args.d_initial = p.gpu_d_final.data();
            Problem::run(args, segments, reverse);
            EXPECT_EQ(p.gpu_d_final.bits(16, 16), p.d_initial.bits(16, 16));
        }
    });
}

/// h behind the i-th row in time, from what it was before.
void step_exactly(Problem& p, index_t i, std::vector<double>& h) {
    index_t const t = p.options.reverse ? p.rows - 1 - i : i;
    for (index_t k = 0; k < p.d_state * p.d_inner; ++k) {
        index_t const n = k / p.d_inner;
        index_t const e = k % p.d_inner;
        double const dt = std::log1p(std::exp(p.delta.view()(t, e) + p.bias.view()(0, e)));
        h[size(k)] = std::exp(dt * p.A.view()(n, e)) * h[size(k)] + dt * p.B.view()(t, n) * p.u.view()(t, e);
    }
}

/// Pieces of a record, the last first: d_initial of one is d_final of the one before. The state that a piece starts
/// from is the exact one, in the slot of its number.
TEST_F(SelectiveScanBackwardCuda, PiecesGiveTheGradientsOfTheWhole) {
    constexpr index_t kPiece = 256;
    for (bool const reverse : {false, true}) {
        SCOPED_TRACE(reverse ? "reverse" : "forward");
        Options options;
        options.reverse = reverse;
        Problem p(DType::f32, {4 * kPiece + 100, 12, 16}, options);
        std::vector<PackedSegment> const whole{{0, p.rows, 0, 0}};
        std::vector<ScanBackwardSegment> converted;
        auto const args = p.host_args(converted, whole);
        auto const exact = selective_scan_backward_reference<double>(args);
        auto const bound = Bounds(p, whole, exact).bound;
        index_t const slot_size = p.d_state * p.d_inner;
        std::vector<double> h(p.initial.data(), p.initial.data() + slot_size);
        std::vector<PackedSegment> pieces;
        for (index_t done = 0; done < p.rows; done += kPiece) {
            index_t const length = std::min(kPiece, p.rows - done);
            auto const slot = static_cast<std::int32_t>(pieces.size());
            std::transform(h.begin(), h.end(), p.initial.data() + slot * slot_size,
                           [](double state) { return static_cast<float>(state); });
            bool const last = done + length == p.rows;
            pieces.push_back({reverse ? p.rows - done - length : done, length, slot, last ? 0 : slot + 1});
            for (index_t i = done; i < done + length; ++i) {
                step_exactly(p, i, h);
            }
        }
        p.gpu_initial.put(p.initial.view());
        for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
            auto piece_args = p.gpu_args();
            piece_args.d_initial = p.gpu_d_final.data();
            Problem::run(piece_args, {*piece}, reverse);
        }
        std::vector<bool> const rows(size(p.rows), true);
        std::vector<bool> const states(size(p.d_state), true);
        expect_bounded("du", p.du, DType::f32, exact.du, bound.du, rows, nullptr);
        expect_bounded("ddelta", p.ddelta, DType::f32, exact.ddelta, bound.ddelta, rows, nullptr);
        expect_bounded("dB", p.dB, DType::f32, exact.dB, bound.dB, rows, nullptr);
        expect_bounded("dC", p.dC, DType::f32, exact.dC, bound.dC, rows, nullptr);
        expect_bounded("dA", p.dA, DType::f32, exact.dA, bound.dA, states, nullptr);
    }
}

TEST_F(SelectiveScanBackwardCuda, ARecordsBitsDoNotDependOnItsCompany) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        Problem together(dtype, {kManyRows, 40, 16}, options);
        together.run(many_records());
        Problem alone(dtype, {kManyRows, 40, 16}, options);
        for (auto const& record : many_records()) {
            SCOPED_TRACE("record of " + std::to_string(record.length) + " rows");
            alone.clear_outputs();
            alone.run({record});
            for (auto const matrix :
                 {&Problem::du, &Problem::ddelta, &Problem::dz, &Problem::y, &Problem::dB, &Problem::dC}) {
                EXPECT_EQ((alone.*matrix).bits(record.begin, record.length),
                          (together.*matrix).bits(record.begin, record.length));
            }
            if (record.initial < 0 || record.length == 0) { continue; }
            index_t const slot = record.initial * together.d_state;
            EXPECT_EQ(alone.d_initial.bits(slot, 16), together.d_initial.bits(slot, 16));
        }
    });
}

TEST_F(SelectiveScanBackwardCuda, RunsAndAlignmentsGiveTheSameBits) {
    for_each_type([](DType dtype, bool reverse) {
        Options options;
        options.reverse = reverse;
        Problem first(dtype, {kManyRows, 136, 16}, options);
        Problem second(dtype, {kManyRows, 136, 16}, options);
        Problem shifted(dtype, {kManyRows, 136, 16, 1}, options); // no vector loads
        for (auto* p : {&first, &second, &shifted}) {
            p->run(many_records());
        }
        for (auto const matrix : {&Problem::du, &Problem::ddelta, &Problem::dz, &Problem::y, &Problem::dB, &Problem::dC,
                                  &Problem::dA, &Problem::dD, &Problem::ddelta_bias, &Problem::d_initial}) {
            EXPECT_EQ((first.*matrix).bits(), (second.*matrix).bits());
            EXPECT_EQ((first.*matrix).bits(), (shifted.*matrix).bits());
        }
    });
}

/// Refused on the host: needs no GPU.
TEST(SelectiveScanBackwardCudaArguments, RefusesWhatItCannotDo) {
    DeviceMatrix const single(nullptr, DType::f32, 4, 8);
    DeviceMatrix const half(nullptr, DType::bf16, 4, 8);
    DeviceMatrix const fp16(nullptr, DType::f16, 4, 8);
    DeviceMatrix const narrow(nullptr, DType::f32, 4, 7);
    auto const run = [](DeviceMatrix u, DeviceMatrix du, DeviceMatrix B, DeviceMatrix dC, index_t d_state,
                        index_t blocks = 0) {
        SelectiveScanBackwardCudaArgs args;
        args.u = args.delta = args.dy = args.ddelta = u;
        args.du = du;
        args.B = args.C = args.dB = B;
        args.dC = dC;
        args.d_state = d_state;
        args.block_count = blocks;
        selective_scan_backward_cuda(args, ScanBackwardScratch(), nullptr);
    };
    EXPECT_NO_THROW(run(single, single, single, single, 8)); // no blocks: nothing to do
    EXPECT_NO_THROW(run(half, half, single, single, 8));
    EXPECT_THROW(run(single, single, single, single, 8, 1), Error); // the scratch has no room
    EXPECT_THROW(run(single, narrow, single, single, 8), Error);
    EXPECT_THROW(run(single, half, single, single, 8), Error);
    EXPECT_THROW(run(single, single, single, half, 8), Error);
    EXPECT_THROW(run(single, single, narrow, narrow, 8), Error);
    EXPECT_THROW(run(fp16, fp16, fp16, fp16, 8), Error);
    DeviceMatrix const none(nullptr, DType::f32, 4, 0);
    EXPECT_THROW(run(single, single, none, none, 0), Error);
    DeviceMatrix const wide(nullptr, DType::f32, 4, kMaxState + 1);
    EXPECT_THROW(run(single, single, wide, wide, kMaxState + 1), Error);
}

} // namespace
} // namespace strandwave
