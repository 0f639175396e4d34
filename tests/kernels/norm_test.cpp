#include "kernels/norm/norm.h"

#include "kernels/norm/norm_reference.h"
#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/guarded_buffer.h"
#include "tests/support/simd_targets.h"

#include <gtest/gtest.h>
#include <string>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

void expect_right(index_t rows, index_t d, bool centred, bool affine) {
    SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(d) + (centred ? " layer" : " rms"));
    GuardedMatrix x(rows, d, 5);
    GuardedMatrix weight(1, d);
    GuardedMatrix bias(1, d);
    GuardedMatrix y(rows, d, 2);
    Random random(2);
    x.fill([&] { return 3.0 + random.normal(); });
    weight.fill([&] { return random.normal(); });
    bias.fill([&] { return random.normal(); });
    NormArgs args{.x = x.view(), .weight = {}, .bias = {}, .epsilon = 1e-5F, .y = y.view()};
    if (affine) {
        args.weight = weight.vector();
        args.bias = bias.vector();
    }
    auto const exact = norm_reference<double>(args, centred);
    auto const plain = norm_reference<float>(args, centred);
    centred ? layer_norm(args) : rms_norm(args);
    testing::expect_within_twice(y.view(), exact.data(), plain.data());
    y.expect_guards("y");
}

TEST(Norm, IsWithinTwiceTheErrorOfAPlainLoop) {
    testing::on_every_simd_target([] {
        for (bool const centred : {false, true}) {
            for (index_t const d : {1, 3, 16, 31, 256, 1000}) {
                expect_right(5, d, centred, true);
                expect_right(2, d, centred, false);
            }
        }
    });
}

TEST(Norm, ZerosStayZerosAndYMayBeX) {
    GuardedMatrix x(3, 20);
    x.fill([] { return 0.0; });
    rms_norm({.x = x.view(), .weight = {}, .bias = {}, .epsilon = 1e-5F, .y = x.view()});
    for (index_t c = 0; c < 20; ++c) {
        EXPECT_EQ(x.view()(1, c), 0.0F);
    }
}

TEST(Norm, RefusesShapesThatDisagree) {
    GuardedMatrix x(3, 20);
    GuardedMatrix y(3, 21);
    EXPECT_THROW(rms_norm({.x = x.view(), .weight = {}, .bias = {}, .epsilon = 1e-5F, .y = y.view()}), Error);
}

} // namespace
} // namespace strandwave
