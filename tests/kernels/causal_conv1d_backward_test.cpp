#include "kernels/causal_conv1d/causal_conv1d_backward.h"

#include "kernels/causal_conv1d/causal_conv1d_backward_reference.h"
#include "kernels/causal_conv1d/causal_conv1d_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gradients.h"
#include "tests/support/simd_targets.h"

#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

namespace strandwave {
namespace {

using testing::elements;
using testing::GuardedMatrix;
using testing::on_every_simd_target;
using testing::on_top;

using Extents = std::vector<std::pair<index_t, index_t>>; // begin, length

/// Records of many lengths, empty and shorter than the history among them, and rows between them that belong to none.
Extents many_records() { return {{1, 0}, {1, 1}, {2, 2}, {4, 3}, {7, 16}, {25, 17}, {42, 40}, {83, 5}}; }
constexpr index_t kManyRows = 90;

/// Every second segment comes with a state; the others have null for zeros.
struct Problem {
    Problem(index_t rows, index_t channels_, index_t taps_, Extents const& extents)
        : channels(channels_), taps(taps_), x(rows, channels, channels), weight(taps, channels), bias(1, channels),
          dy(rows, channels, 3), dx(rows, channels, 1), dweight(taps, channels), dbias(1, channels) {
        Random random(11);
        auto const draw = [&] { return testing::on_grid(random.normal() / 2); };
        for (auto* matrix : {&x, &weight, &bias, &dy, &dweight, &dbias}) {
            matrix->fill(draw);
        }
        index_t const states = static_cast<index_t>(extents.size());
        for (auto* matrices : {&initial, &d_final, &d_initial}) {
            for (index_t s = 0; s < states; ++s) {
                matrices->emplace_back(taps - 1, channels);
                if (matrices != &d_initial) { matrices->back().fill(draw); }
            }
        }
        for (std::size_t s = 0; s < extents.size(); ++s) {
            bool const carried = s % 2 == 0;
            segments.push_back({extents[s].first, extents[s].second, carried ? initial[s].data() : nullptr,
                                carried ? d_final[s].data() : nullptr, d_initial[s].data()});
        }
    }

    CausalConv1dBackwardArgs args(bool reverse, bool accumulate = false) {
        return {.x = x.view(),
                .weight = weight.view(),
                .bias = bias.vector(),
                .dy = dy.view(),
                .segments = segments,
                .reverse = reverse,
                .accumulate = accumulate,
                .dx = dx.view(),
                .dweight = dweight.view(),
                .dbias = dbias.vector()};
    }

    /// Bounds of the sums of terms' absolute values; silu' is below 1.1. What was there before is below 5.
    double input_terms() {
        return static_cast<double>(taps) * testing::largest_of(weight.view()) * 1.1 * testing::largest_of(dy.view()) +
               4;
    }
    double parameter_terms() {
        double const largest_input = std::max(1.0, testing::largest_of(x.view()));
        return static_cast<double>(x.view().rows) * largest_input * 1.1 * testing::largest_of(dy.view()) + 5;
    }

    void expect_right(bool reverse, bool accumulate);
    void expect_uncovered_rows_untouched() {
        std::vector<bool> covered(static_cast<std::size_t>(x.view().rows), false);
        for (auto const& s : segments) {
            std::fill_n(covered.begin() + s.begin, s.length, true);
        }
        for (index_t r = 0; r < dx.view().rows; ++r) {
            for (index_t c = 0; c < channels && !covered[static_cast<std::size_t>(r)]; ++c) {
                EXPECT_TRUE(std::isnan(dx.view()(r, c))) << "wrote to row " << r;
                dx.view()(r, c) = 0; // as in the reference
            }
        }
    }

    index_t channels, taps;
    GuardedMatrix x, weight, bias, dy, dx, dweight, dbias;
    std::vector<GuardedMatrix> initial, d_final, d_initial;
    std::vector<ConvBackwardSegment> segments;
};

void Problem::expect_right(bool reverse, bool accumulate) {
    if (accumulate) {
        Random random(5);
        for (auto const& s : segments) {
            for (index_t i = 0; i < s.length * channels; ++i) {
                dx.view()(s.begin + i / channels, i % channels) = static_cast<float>(random.normal());
            }
        }
    }
    auto const a = args(reverse, accumulate);
    auto const exact = causal_conv1d_backward_reference<double>(a);
    auto const plain = causal_conv1d_backward_reference<float>(a);
    auto const before = accumulate ? elements(dx.view()) : std::vector<float>(plain.x.size(), 0.0F);
    auto const weight_before = elements(dweight.view());
    auto const bias_before = elements(dbias.view());
    causal_conv1d_backward(a);
    dx.expect_guards("dx");
    dweight.expect_guards("dweight");
    dbias.expect_guards("dbias");
    expect_uncovered_rows_untouched();
    auto exact_x = on_top(before, exact.x);
    auto plain_x = on_top(before, plain.x);
    for (std::size_t i = 0; i < exact_x.size(); ++i) {
        if (std::isnan(before[i])) { exact_x[i] = plain_x[i] = 0; }
    }
    testing::expect_sums_within_twice(dx.view(), exact_x.data(), plain_x.data(), input_terms());
    testing::expect_sums_within_twice(dweight.view(), on_top(weight_before, exact.weight).data(),
                                      on_top(weight_before, plain.weight).data(), parameter_terms());
    testing::expect_sums_within_twice(dbias.view(), on_top(bias_before, exact.bias).data(),
                                      on_top(bias_before, plain.bias).data(), parameter_terms());
    for (std::size_t s = 0; s < segments.size(); ++s) {
        SCOPED_TRACE("segment " + std::to_string(s));
        testing::expect_sums_within_twice(d_initial[s].view(), exact.initial[s].data(), plain.initial[s].data(),
                                          input_terms());
        d_initial[s].expect_guards("d_initial");
    }
}

/// L = sum dy * y + sum d_final * (the inputs carried out).
double loss(Problem& p, bool reverse) {
    std::vector<ConvSegment> forward;
    for (auto const& s : p.segments) {
        forward.push_back({s.begin, s.length, s.initial, nullptr});
    }
    auto const y = causal_conv1d_reference<double>({.x = p.x.view(),
                                                    .weight = p.weight.view(),
                                                    .bias = p.bias.vector(),
                                                    .segments = forward,
                                                    .reverse = reverse,
                                                    .y = {}});
    double sum = 0;
    index_t const history = p.taps - 1;
    for (auto const& s : p.segments) {
        for (index_t c = 0; c < p.channels; ++c) {
            for (index_t t = s.begin; t < s.begin + s.length; ++t) {
                sum += static_cast<double>(p.dy.view()(t, c)) * y[static_cast<std::size_t>(t * p.channels + c)];
            }
            for (index_t k = 0; s.d_final != nullptr && k < history; ++k) {
                index_t const i = s.length - history + k;
                index_t const row = reverse ? s.begin + s.length - 1 - i : s.begin + i;
                float const carried = i >= 0                 ? p.x.view()(row, c)
                                      : s.initial != nullptr ? s.initial[(history + i) * p.channels + c]
                                                             : 0.0F;
                sum += static_cast<double>(s.d_final[k * p.channels + c]) * static_cast<double>(carried);
            }
        }
    }
    return sum;
}

void expect_slopes(Problem& p, bool reverse, View<float, 2> inputs, std::vector<double> const& gradients) {
    for (index_t r = 0; r < inputs.rows; ++r) {
        for (index_t c = 0; c < inputs.cols; ++c) {
            auto const slope = testing::slope_of([&] { return loss(p, reverse); }, inputs(r, c));
            EXPECT_NEAR(gradients[static_cast<std::size_t>(r * inputs.cols + c)], slope.value, slope.uncertainty)
                << "row " << r << ", channel " << c;
        }
    }
}

TEST(CausalConv1dBackward, ReferenceIsTheSlopeOfTheForwardPass) {
    for (bool const reverse : {false, true}) {
        for (index_t const taps : {1, 2, 4, 6}) {
            SCOPED_TRACE(std::to_string(taps) + " taps" + (reverse ? ", reverse" : ""));
            Problem p(14, 2, taps, {{0, 2}, {2, 1}, {4, 0}, {4, 3}, {7, 7}});
            auto const exact = causal_conv1d_backward_reference<double>(p.args(reverse));
            expect_slopes(p, reverse, p.x.view(), exact.x);
            expect_slopes(p, reverse, p.weight.view(), exact.weight);
            expect_slopes(p, reverse, p.bias.view(), exact.bias);
            for (std::size_t s = 0; s < p.segments.size(); s += 2) {
                expect_slopes(p, reverse, p.initial[s].view(), exact.initial[s]);
            }
        }
    }
}

void expect_right(index_t rows, index_t channels, index_t taps, bool reverse) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(channels) + ", " + std::to_string(taps) + " taps");
    Problem(rows, channels, taps, {{0, rows}}).expect_right(reverse, false);
}

TEST(CausalConv1dBackward, IsWithinTwiceTheErrorOfAPlainLoop) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            for (index_t const taps : {1, 2, 3, 4, 5, 9, 64}) {
                expect_right(33, 21, taps, reverse);
            }
            for (index_t const rows : {1, 2, 3, 4, 15, 16, 17, 101}) {
                expect_right(rows, 21, 4, reverse);
            }
            for (index_t const channels : {1, 8, 15, 16, 17, 31, 64}) {
                expect_right(20, channels, 4, reverse);
            }
        }
    });
}

TEST(CausalConv1dBackward, PackedRecordsOfAnyLengthKeepApart) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            for (bool const accumulate : {false, true}) {
                for (index_t const taps : {1, 2, 4, 9}) {
                    SCOPED_TRACE(std::to_string(taps) + " taps");
                    Problem(kManyRows, 19, taps, many_records()).expect_right(reverse, accumulate);
                }
            }
        }
    });
}

TEST(CausalConv1dBackward, ARecordsBitsDependNeitherOnItsCompanyNorOnTheRun) {
    on_every_simd_target([] {
        Problem together(kManyRows, 19, 4, many_records());
        causal_conv1d_backward(together.args(false));
        Problem again(kManyRows, 19, 4, many_records());
        causal_conv1d_backward(again.args(false));
        EXPECT_EQ(elements(again.dweight.view()), elements(together.dweight.view()));
        EXPECT_EQ(elements(again.dbias.view()), elements(together.dbias.view()));
        for (std::size_t s = 0; s < together.segments.size(); ++s) {
            Problem alone(kManyRows, 19, 4, many_records());
            auto const segment = alone.segments[s];
            auto args = alone.args(false);
            args.segments = {&segment, 1};
            causal_conv1d_backward(args);
            EXPECT_EQ(elements(alone.dx.view().rows_from(segment.begin, segment.length)),
                      elements(together.dx.view().rows_from(segment.begin, segment.length)));
            EXPECT_EQ(elements(alone.d_initial[s].view()), elements(together.d_initial[s].view()));
        }
    });
}

/// From the last piece to the first, each handing its gradient on in place.
void run_in_pieces(Problem& p, index_t piece, bool reverse) {
    index_t const rows = p.x.view().rows;
    index_t const history = p.taps - 1;
    std::vector<float> carried = elements(p.d_final[0].view());
    for (index_t begin = (rows - 1) / piece * piece; begin >= 0; begin -= piece) {
        index_t const length = std::min(piece, rows - begin);
        std::vector<float> before; // the inputs of the rows in front of the piece
        for (index_t i = begin - history; i < begin; ++i) {
            float const* from = i < 0     ? p.initial[0].view().row(history + i)
                                : reverse ? p.x.view().row(rows - 1 - i)
                                          : p.x.view().row(i);
            before.insert(before.end(), from, from + p.channels);
        }
        std::vector<ConvBackwardSegment> const part{
            {reverse ? rows - begin - length : begin, length, before.data(), carried.data(), carried.data()}};
        auto args = p.args(reverse);
        args.segments = part;
        causal_conv1d_backward(args);
    }
    for (std::size_t i = 0; i < carried.size(); ++i) {
        p.d_initial[0].data()[i] = carried[i];
    }
}

TEST(CausalConv1dBackward, PiecesThatHandTheirGradientOnGiveTheWhole) {
    on_every_simd_target([] {
        for (bool const reverse : {false, true}) {
            for (index_t const piece : {1, 2, 3, 4, 7, 16, 49}) { // shorter than the history too
                SCOPED_TRACE("pieces of " + std::to_string(piece));
                Problem p(50, 19, 4, {{0, 50}});
                auto const before = elements(p.dweight.view());
                auto const exact = causal_conv1d_backward_reference<double>(p.args(reverse));
                auto const plain = causal_conv1d_backward_reference<float>(p.args(reverse));
                run_in_pieces(p, piece, reverse);
                testing::expect_sums_within_twice(p.dx.view(), exact.x.data(), plain.x.data(), p.input_terms());
                testing::expect_sums_within_twice(p.dweight.view(), on_top(before, exact.weight).data(),
                                                  on_top(before, plain.weight).data(), p.parameter_terms());
                testing::expect_sums_within_twice(p.d_initial[0].view(), exact.initial[0].data(),
                                                  plain.initial[0].data(), p.input_terms());
            }
        }
    });
}

TEST(CausalConv1dBackward, NoBiasAndNoWishesAreFine) {
    Problem p(20, 5, 4, {{0, 20}});
    p.bias.fill([] { return 0.0; });
    causal_conv1d_backward(p.args(false));
    auto const expected = elements(p.dx.view());
    p.dx.poison_again();
    p.d_initial[0].poison_again();
    auto args = p.args(false);
    auto segment = p.segments[0];
    segment.d_initial = nullptr;
    args.segments = {&segment, 1};
    args.bias = {};
    args.dbias = {};
    causal_conv1d_backward(args);
    EXPECT_EQ(elements(p.dx.view()), expected);
}

TEST(CausalConv1dBackward, RefusesShapesThatDisagree) {
    Problem p(10, 4, 4, {{5, 6}});
    EXPECT_THROW(causal_conv1d_backward(p.args(false)), Error);
    Problem wide(10, 4, kMaxConv + 1, {});
    EXPECT_THROW(causal_conv1d_backward(wide.args(false)), Error);
    Problem narrow(10, 4, 4, {{0, 10}});
    auto args = narrow.args(false);
    args.dx = args.dx.cols_from(0, 3);
    EXPECT_THROW(causal_conv1d_backward(args), Error);
    args = narrow.args(false);
    args.dweight = args.dweight.rows_from(0, 3);
    EXPECT_THROW(causal_conv1d_backward(args), Error);
}

} // namespace
} // namespace strandwave
