#include "kernels/norm/norm_backward.h"

#include "kernels/norm/norm_backward_reference.h"
#include "kernels/norm/norm_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gradients.h"
#include "tests/support/simd_targets.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace strandwave {
namespace {

using testing::elements;
using testing::GuardedMatrix;
using testing::on_top;

struct Problem {
    Problem(index_t rows, index_t d, double shift = 3.0)
        : x(rows, d, 5), weight(1, d), dy(rows, d, 1), dx(rows, d, 2), dweight(1, d), dbias(1, d) {
        Random random(2);
        x.fill([&] { return testing::on_grid(shift + random.normal()); });
        for (auto* matrix : {&weight, &dy, &dweight, &dbias}) {
            matrix->fill([&] { return testing::on_grid(random.normal()); });
        }
    }

    NormBackwardArgs args(bool affine, bool accumulate = false) {
        NormBackwardArgs a{.x = x.view(),
                           .weight = {},
                           .epsilon = 1e-2F,
                           .dy = dy.view(),
                           .accumulate = accumulate,
                           .dx = dx.view(),
                           .dweight = {},
                           .dbias = {}};
        if (affine) {
            a.weight = weight.vector();
            a.dweight = dweight.vector();
            a.dbias = dbias.vector();
        }
        return a;
    }

    GuardedMatrix x, weight, dy, dx, dweight, dbias;
};

void run(NormBackwardArgs const& args, bool centred) { centred ? layer_norm_backward(args) : rms_norm_backward(args); }

double loss(Problem& p, bool centred, GuardedMatrix& bias) {
    auto const y = norm_reference<double>(
        {.x = p.x.view(), .weight = p.weight.vector(), .bias = bias.vector(), .epsilon = 1e-2F, .y = {}}, centred);
    auto const dy = elements(p.dy.view());
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        sum += static_cast<double>(dy[i]) * y[i];
    }
    return sum;
}

TEST(NormBackward, ReferenceIsTheSlopeOfTheForwardPass) {
    for (bool const centred : {false, true}) {
        for (index_t const d : {1, 2, 7}) {
            SCOPED_TRACE(std::to_string(d) + (centred ? " layer" : " rms"));
            Problem p(3, d, 0.5);
            GuardedMatrix bias(1, d);
            bias.fill([] { return 0.25; });
            auto const exact = norm_backward_reference<double>(p.args(true), centred);
            auto const expect_slopes = [&](View<float, 2> inputs, std::vector<double> const& gradients) {
                for (index_t r = 0; r < inputs.rows; ++r) {
                    for (index_t c = 0; c < inputs.cols; ++c) {
                        auto const slope = testing::slope_of([&] { return loss(p, centred, bias); }, inputs(r, c));
                        EXPECT_NEAR(gradients[static_cast<std::size_t>(r * d + c)], slope.value, slope.uncertainty)
                            << "row " << r << ", channel " << c;
                    }
                }
            };
            expect_slopes(p.x.view(), exact.x);
            expect_slopes(p.weight.view(), exact.weight);
            expect_slopes(bias.view(), exact.bias);
        }
    }
}

void expect_right(index_t rows, index_t d, bool centred, bool affine, bool accumulate) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(d) + (centred ? " layer" : " rms") +
                 (affine ? ", affine" : "") + (accumulate ? ", accumulate" : ""));
    Problem p(rows, d);
    if (accumulate) {
        Random random(8);
        p.dx.fill([&] { return random.normal(); });
    }
    auto const args = p.args(affine, accumulate);
    auto const exact = norm_backward_reference<double>(args, centred);
    auto const plain = norm_backward_reference<float>(args, centred);
    auto const before = accumulate ? elements(p.dx.view()) : std::vector<float>(plain.x.size(), 0.0F);
    auto const weight_before = elements(p.dweight.view());
    auto const bias_before = elements(p.dbias.view());
    run(args, centred);
    testing::expect_within_twice(p.dx.view(), on_top(before, exact.x).data(), on_top(before, plain.x).data());
    p.dx.expect_guards("dx");
    p.dweight.expect_guards("dweight");
    p.dbias.expect_guards("dbias");
    if (!affine) { return; }
    testing::expect_within_twice(p.dweight.view(), on_top(weight_before, exact.weight).data(),
                                 on_top(weight_before, plain.weight).data());
    testing::expect_within_twice(p.dbias.view(), on_top(bias_before, exact.bias).data(),
                                 on_top(bias_before, plain.bias).data());
}

TEST(NormBackward, IsWithinTwiceTheErrorOfAPlainLoop) {
    testing::on_every_simd_target([] {
        for (bool const centred : {false, true}) {
            for (index_t const d : {1, 3, 15, 16, 17, 31, 256, 1000}) {
                expect_right(5, d, centred, true, false);
                expect_right(2, d, centred, false, true);
            }
            for (index_t const rows : {1, 2, 15, 16, 17, 67}) {
                expect_right(rows, 21, centred, true, true);
            }
        }
    });
}

TEST(NormBackward, ARowsBitsDependNeitherOnItsCompanyNorOnTheRun) {
    testing::on_every_simd_target([] {
        for (bool const centred : {false, true}) {
            Problem first(40, 21);
            Problem second(40, 21);
            run(first.args(true), centred);
            run(second.args(true), centred);
            auto const together = elements(first.dx.view());
            EXPECT_EQ(elements(second.dx.view()), together);
            EXPECT_EQ(elements(second.dweight.view()), elements(first.dweight.view()));
            EXPECT_EQ(elements(second.dbias.view()), elements(first.dbias.view()));
            second.dx.poison_again();
            auto args = second.args(true);
            args.x = args.x.rows_from(33, 1);
            args.dy = args.dy.rows_from(33, 1);
            args.dx = args.dx.rows_from(33, 1);
            run(args, centred);
            EXPECT_EQ(elements(second.dx.view().rows_from(33, 1)), elements(first.dx.view().rows_from(33, 1)));
            EXPECT_TRUE(std::isnan(second.dx.view()(32, 0)) && std::isnan(second.dx.view()(34, 0)));
        }
    });
}

TEST(NormBackward, NoRowsChangeNothing) {
    Problem p(0, 9);
    auto const before = elements(p.dweight.view());
    layer_norm_backward(p.args(true));
    EXPECT_EQ(elements(p.dweight.view()), before);
}

TEST(NormBackward, RefusesShapesThatDisagree) {
    Problem p(3, 20);
    GuardedMatrix narrow(3, 19);
    GuardedMatrix shorter(1, 19);
    auto args = p.args(true);
    args.dy = narrow.view();
    EXPECT_THROW(rms_norm_backward(args), Error);
    args = p.args(true);
    args.dx = narrow.view();
    EXPECT_THROW(rms_norm_backward(args), Error);
    args = p.args(true);
    args.dweight = shorter.vector();
    EXPECT_THROW(layer_norm_backward(args), Error);
    args = p.args(true);
    args.dbias = shorter.vector();
    EXPECT_THROW(layer_norm_backward(args), Error);
}

} // namespace
} // namespace strandwave
