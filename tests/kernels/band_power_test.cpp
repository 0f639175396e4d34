#include "kernels/band_power/band_power.h"

#include "lib/core/error.h"
#include "lib/core/random.h"
#include "tests/support/gradients.h"
#include "tests/support/guarded_buffer.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

namespace strandwave {
namespace {

using testing::GuardedMatrix;

constexpr index_t kRows = 7;
constexpr index_t kBands = 5;
constexpr float kScale = 0.125F;

struct Problem {
    Problem() : x(kRows, 2 * kBands, 3), y(kRows, kBands, 2), dy(kRows, kBands, 1), dx(kRows, 2 * kBands, 4) {
        Random random(5);
        // On the grid of slope_of, loud and quiet, with rows of silence.
        x.fill([&] { return testing::on_grid(random.normal() * (random.uniform(0, 1) < 0.3 ? 0.01 : 1.0)); });
        dy.fill([&] { return random.normal(); });
        y.poison_again();
        dx.poison_again();
        for (index_t c = 0; c < 2 * kBands; ++c) {
            x.view()(2, c) = 0;
        }
    }

    double wanted(index_t row, index_t band) {
        double const a = static_cast<double>(x.view()(row, band));
        double const b = static_cast<double>(x.view()(row, kBands + band));
        return std::log10(1e-6 + static_cast<double>(kScale) * (a * a + b * b)) + 3;
    }

    GuardedMatrix x, y, dy, dx;
};

TEST(BandPower, IsTheLogarithmOfThePowerOfAPair) {
    Problem p;
    band_power({p.x.view(), kScale, p.y.view()});
    for (index_t r = 0; r < kRows; ++r) {
        for (index_t k = 0; k < kBands; ++k) {
            double const wanted = p.wanted(r, k);
            EXPECT_NEAR(p.y.view()(r, k), wanted, std::ldexp(std::abs(wanted), -24)) << r << ", " << k;
        }
    }
    for (index_t k = 0; k < kBands; ++k) {
        EXPECT_EQ(p.y.view()(2, k), -3.0F) << "silence";
    }
    p.y.expect_guards("y");
}

TEST(BandPower, RowsDoNotSeeEachOther) {
    Problem whole, rows;
    band_power({whole.x.view(), kScale, whole.y.view()});
    for (index_t r = 0; r < kRows; ++r) {
        band_power({rows.x.view().rows_from(r, 1), kScale, rows.y.view().rows_from(r, 1)});
    }
    EXPECT_EQ(testing::elements(rows.y.view()), testing::elements(whole.y.view()));
}

TEST(BandPower, GradientIsTheSlope) {
    Problem p;
    band_power_backward({p.x.view(), kScale, p.dy.view(), p.dx.view()});
    p.dx.expect_guards("dx");
    for (index_t r = 0; r < kRows; ++r) {
        for (index_t c = 0; c < 2 * kBands; ++c) {
            auto const loss = [&] { return p.wanted(r, c % kBands) * static_cast<double>(p.dy.view()(r, c % kBands)); };
            // The closed form, in double; the differences bound a wrong formula where the slope is gentle.
            double const a = static_cast<double>(p.x.view()(r, c % kBands));
            double const b = static_cast<double>(p.x.view()(r, kBands + c % kBands));
            double const at = static_cast<double>(p.x.view()(r, c));
            double const scale = static_cast<double>(kScale);
            double const slope = 2 * scale * at / (std::log(10) * (1e-6 + scale * (a * a + b * b))) *
                                 static_cast<double>(p.dy.view()(r, c % kBands));
            EXPECT_NEAR(p.dx.view()(r, c), slope, std::ldexp(std::abs(slope), -23)) << r << ", " << c;
            auto const difference = testing::slope_of(loss, p.x.view()(r, c));
            EXPECT_NEAR(p.dx.view()(r, c), difference.value, difference.uncertainty + 1e-6 * std::abs(slope))
                << r << ", " << c;
        }
    }
    std::vector<float> const apart = testing::elements(p.dx.view());
    band_power_backward({p.x.view(), kScale, p.dy.view(), p.x.view()});
    EXPECT_EQ(testing::elements(p.x.view()), apart) << "in place";
}

TEST(BandPower, RefusesShapesThatDoNotFit) {
    Problem p;
    EXPECT_THROW(band_power({p.y.view(), kScale, p.y.view()}), Error);
    EXPECT_THROW(band_power({p.x.view().rows_from(0, 2), kScale, p.y.view()}), Error);
    EXPECT_THROW(band_power_backward({p.x.view(), kScale, p.x.view(), p.dx.view()}), Error);
    EXPECT_THROW(band_power_backward({p.x.view(), kScale, p.dy.view(), p.dy.view()}), Error);
}

} // namespace
} // namespace strandwave
