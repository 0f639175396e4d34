#include "kernels/selective_scan/selective_scan_backward.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/kernels/selective_scan_backward_problem.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using namespace testing::scan_backward;
using testing::GuardedMatrix;
using testing::on_every_simd_target;

struct Case {
    index_t rows, d_inner, d_state;
    std::vector<std::pair<index_t, index_t>> runs; ///< segments
    bool reverse = false;
    bool gate = true;
    bool bias = true;
};

void add_case(ErrorTable& table, Case const& c) {
    std::string const name = std::to_string(c.rows) + " x " + std::to_string(c.d_inner) + " x " +
                             std::to_string(c.d_state) + (c.reverse ? ", reverse" : "") + (c.gate ? "" : ", no gate") +
                             (c.bias ? "" : ", no bias");
    Problem p(c.rows, c.d_inner, c.d_state);
    Segments segments(c.runs, c.d_state, c.d_inner, 7);
    auto args = p.args(segments.list, c.reverse);
    if (!c.gate) { args.z = args.dz = {}; }
    if (!c.bias) { args.delta_bias = {}; }
    auto const exact = selective_scan_backward_reference<double>(args);
    auto const plain = selective_scan_backward_reference<float>(args);
    selective_scan_backward(args);
    expect_untouched_rows(p, segments);
    table.add_gradients(name, p, exact, plain);
    for (std::size_t i = 0; i < segments.list.size(); ++i) {
        table.add(name, "d_initial", segments.d_initial[i], exact.d_initial[i], plain.d_initial[i]);
    }
}

void expect_right(std::vector<Case> const& cases) {
    on_every_simd_target([&] {
        ErrorTable table;
        for (auto const& c : cases) {
            add_case(table, c);
        }
        table.expect_within_twice();
    });
}

TEST(SelectiveScanBackward, IsWithinTwiceTheErrorOfAPlainLoop) {
    std::vector<Case> cases;
    for (index_t const rows : {1, 2, 63, 64, 65, 131, 257}) {
        cases.push_back({rows, 37, 16, {{0, rows}}});
    }
    for (index_t const d_inner : {1, 7, 15, 16, 17, 48, 131}) {
        cases.push_back({70, d_inner, 16, {{0, 70}}});
    }
    for (index_t const d_state : {1, 3, 4, 5, 20, 33, 256}) {
        cases.push_back({67, 18, d_state, {{0, 67}}});
    }
    expect_right(cases);
}

TEST(SelectiveScanBackward, SegmentsInBothDirectionsLeaveOtherRowsAlone) {
    std::vector<std::pair<index_t, index_t>> const runs{{3, 66}, {69, 1}, {70, 0}, {80, 130}, {211, 64}};
    expect_right({{280, 21, 16, runs},
                  {280, 21, 16, runs, true},
                  {280, 16, 3, runs},
                  {280, 16, 3, runs, true},
                  {280, 33, 1, runs, true}});
}

TEST(SelectiveScanBackward, WithoutGateAndBias) {
    std::vector<std::pair<index_t, index_t>> const runs{{0, 99}, {99, 20}};
    expect_right({{.rows = 119, .d_inner = 20, .d_state = 16, .runs = runs, .gate = false},
                  {.rows = 119, .d_inner = 20, .d_state = 16, .runs = runs, .reverse = true, .bias = false},
                  {.rows = 119, .d_inner = 20, .d_state = 16, .runs = runs, .gate = false, .bias = false}});
}

TEST(SelectiveScanBackward, ExtremeStepsGiveNoNan) {
    on_every_simd_target([] {
        Problem p(40, 16, 4);
        Random random(5);
        p.delta.fill([&] { return random.uniform() < 0.5 ? 1e4 : -1e4; });
        p.A.fill([&] { return random.uniform() < 0.5 ? -1e6 : -1e-6; });
        p.z.fill([&] { return random.uniform() < 0.5 ? 1e4 : -1e4; });
        std::vector<ScanBackwardSegment> const segments{{0, 40}};
        auto const args = p.args(segments);
        auto const exact = selective_scan_backward_reference<double>(args);
        auto const plain = selective_scan_backward_reference<float>(args);
        selective_scan_backward(args);
        ErrorTable table;
        table.add_gradients("extreme steps", p, exact, plain);
        table.expect_within_twice();
    });
}

/// The states before the pieces [0, piece), [piece, 2 * piece), ... of time, by the forward op.
std::vector<std::vector<float>> states_before_pieces(Problem& p, index_t piece, bool reverse) {
    std::vector<std::vector<float>> states;
    std::vector<float> state(static_cast<std::size_t>(p.d_state * p.d_inner), 0.0F);
    GuardedMatrix y(p.rows, p.d_inner);
    for (index_t done = 0; done < p.rows; done += piece) {
        states.push_back(state);
        index_t const length = std::min(piece, p.rows - done);
        std::vector<ScanSegment> const part{
            {reverse ? p.rows - done - length : done, length, state.data(), state.data()}};
        selective_scan(p.forward_args(part, reverse, y.view()));
    }
    return states;
}

void add_pieces(ErrorTable& table, index_t piece, bool reverse) {
    Problem p(200, 21, 16);
    Segments whole({{0, p.rows}}, p.d_state, p.d_inner, 7);
    whole.list[0].initial = nullptr;
    auto const exact = selective_scan_backward_reference<double>(p.args(whole.list, reverse));
    auto const plain = selective_scan_backward_reference<float>(p.args(whole.list, reverse));
    auto const states = states_before_pieces(p, piece, reverse);
    GuardedMatrix& carried = whole.d_final[0];
    for (index_t i = (p.rows - 1) / piece; i >= 0; --i) {
        index_t const done = i * piece;
        index_t const length = std::min(piece, p.rows - done);
        std::vector<ScanBackwardSegment> const part{{reverse ? p.rows - done - length : done, length,
                                                     states[static_cast<std::size_t>(i)].data(), carried.data(),
                                                     carried.data()}};
        selective_scan_backward(p.args(part, reverse));
    }
    std::string const name = "pieces of " + std::to_string(piece) + (reverse ? ", reverse" : "");
    table.add_gradients(name, p, exact, plain);
    table.add(name, "d_initial", carried, exact.d_initial[0], plain.d_initial[0]);
}

TEST(SelectiveScanBackward, PiecesFromTheLastToTheFirstGiveTheGradientsOfTheWhole) {
    on_every_simd_target([] {
        ErrorTable table;
        for (index_t const piece : {1, 7, 64, 65, 199, 200}) {
            add_pieces(table, piece, false);
            add_pieces(table, piece, true);
        }
        table.expect_within_twice();
    });
}

TEST(SelectiveScanBackward, SameBitsEveryRun) {
    on_every_simd_target([] {
        Problem p(150, 40, 16);
        Segments segments({{0, 100}, {100, 50}}, 16, 40, 7);
        selective_scan_backward(p.args(segments.list));
        auto const first = p.results();
        p.reset();
        selective_scan_backward(p.args(segments.list));
        EXPECT_TRUE(same_bits(p.results(), first));
    });
}

/// What the forward pass of a problem keeps, with NaN where it kept nothing.
std::vector<float> kept_states(Problem& p, Segments const& segments, bool reverse) {
    auto const list = segments.forward();
    index_t const size = scan_kept_states(p.rows, static_cast<index_t>(list.size()), p.d_inner, p.d_state);
    std::vector<float> kept(static_cast<std::size_t>(size), std::numeric_limits<float>::quiet_NaN());
    GuardedMatrix y(p.rows, p.d_inner);
    auto args = p.forward_args(list, reverse, y.view());
    args.kept_states = kept.data();
    selective_scan(args);
    return kept;
}

TEST(SelectiveScanBackward, KeptStatesChangeNoBit) {
    std::vector<std::pair<index_t, index_t>> const runs{{3, 66}, {69, 1}, {70, 0}, {80, 130}, {211, 64}};
    on_every_simd_target([&] {
        for (index_t const d_state : {1, 3, 16, 21}) {
            for (bool const reverse : {false, true}) {
                Problem p(280, 37, d_state);
                Segments segments(runs, d_state, 37, 7);
                auto args = p.args(segments.list, reverse);
                selective_scan_backward(args);
                auto const made_again = p.results();
                auto const kept = kept_states(p, segments, reverse);
                p.reset();
                args.kept_states = kept.data();
                selective_scan_backward(args);
                EXPECT_TRUE(same_bits(p.results(), made_again)) << d_state << (reverse ? ", reverse" : "");
            }
        }
    });
}

TEST(SelectiveScanBackward, ParameterGradientsAreAddedTo) {
    Problem p(90, 19, 5);
    Segments segments({{0, 90}}, 5, 19, 7);
    selective_scan_backward(p.args(segments.list));
    std::vector<std::vector<float>> from_zero;
    for (auto* matrix : p.parameter_outputs()) {
        auto& sums = from_zero.emplace_back();
        for (index_t r = 0; r < matrix->view().rows; ++r) {
            sums.insert(sums.end(), matrix->view().row(r), matrix->view().row(r) + 19);
        }
        matrix->fill([] { return 3.25; });
    }
    selective_scan_backward(p.args(segments.list));
    for (std::size_t i = 0; i < from_zero.size(); ++i) {
        auto const view = p.parameter_outputs()[i]->view();
        for (index_t k = 0; k < view.rows * 19; ++k) {
            ASSERT_EQ(view(k / 19, k % 19), from_zero[i][static_cast<std::size_t>(k)] + 3.25F);
        }
    }
}

TEST(SelectiveScanBackward, AccumulateGateAddsToDzAndY) {
    Problem p(90, 19, 5);
    Segments segments({{0, 40}, {45, 45}}, 5, 19, 7);
    Problem added(90, 19, 5);
    added.dz.fill([] { return 3.25; });
    added.y.fill([] { return -1.5; });
    selective_scan_backward(p.args(segments.list));
    auto args = added.args(segments.list);
    args.accumulate_gate = true;
    selective_scan_backward(args);
    for (index_t t = 0; t < 90; ++t) {
        for (index_t e = 0; e < 19; ++e) {
            bool const covered = segments.covers(t);
            ASSERT_EQ(added.dz.view()(t, e), covered ? p.dz.view()(t, e) + 3.25F : 3.25F);
            ASSERT_EQ(added.y.view()(t, e), covered ? p.y.view()(t, e) - 1.5F : -1.5F);
        }
    }
}

TEST(SelectiveScanBackward, OutputsMayTakeThePlaceOfGradientsThatComeIn) {
    Problem p(130, 24, 16);
    Segments segments({{0, 130}}, 16, 24, 7);
    selective_scan_backward(p.args(segments.list));
    auto const expected = p.results();
    p.reset();
    auto args = p.args(segments.list);
    args.dz = p.dy.view();
    auto in_place = segments.list;
    in_place[0].d_initial = segments.d_final[0].data();
    args.segments = in_place;
    selective_scan_backward(args);
    std::swap(p.dz, p.dy);
    EXPECT_TRUE(same_bits(p.results(), expected));
    for (index_t k = 0; k < p.d_state * p.d_inner; ++k) {
        ASSERT_EQ(segments.d_final[0].data()[k], segments.d_initial[0].data()[k]);
    }
}

TEST(SelectiveScanBackward, OutputsThatAreNotWantedStayAway) {
    Problem p(70, 17, 4);
    std::vector<ScanBackwardSegment> const segments{{0, 70}};
    selective_scan_backward(p.args(segments));
    auto expected = p.results();
    Problem q(70, 17, 4);
    auto args = q.args(segments);
    args.y = {};
    args.ddelta_bias = {};
    selective_scan_backward(args);
    q.y = std::move(p.y);
    q.dbias = std::move(p.dbias);
    EXPECT_TRUE(same_bits(q.results(), expected));
}

TEST(SelectiveScanBackward, RefusesShapesThatDisagree) {
    Problem p(10, 16, 4);
    Problem other(11, 17, 5);
    std::vector<ScanBackwardSegment> const one{{0, 1}};
    std::vector<ScanBackwardSegment> const beyond{{0, 11}};
    EXPECT_THROW(selective_scan_backward(p.args(beyond)), Error);
    auto const refused = [&](auto const& change) {
        auto args = p.args(one);
        change(args);
        EXPECT_THROW(selective_scan_backward(args), Error);
    };
    refused([&](auto& args) { args.dy = other.dy.view(); });
    refused([&](auto& args) { args.du = other.du.view(); });
    refused([&](auto& args) { args.ddelta = other.ddelta.view(); });
    refused([&](auto& args) { args.dB = other.dB.view(); });
    refused([&](auto& args) { args.dC = other.dC.view(); });
    refused([&](auto& args) { args.dz = {}; });
    refused([&](auto& args) { args.y = other.y.view(); });
    refused([&](auto& args) { args.dA = other.dA.view(); });
    refused([&](auto& args) { args.dD = other.dD.vector(); });
    refused([&](auto& args) { args.ddelta_bias = other.dbias.vector(); });
    Problem large(1, 1, kMaxState + 1);
    EXPECT_THROW(selective_scan_backward(large.args(one)), Error);
}

} // namespace
} // namespace strandwave
