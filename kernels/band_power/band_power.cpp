#include "kernels/band_power/band_power.h"

#include "lib/core/check.h"

#include <cmath>
#include <numbers>

namespace strandwave {
namespace {

/// 10^-6 + scale (a^2 + b^2).
double power(float a, float b, float scale) {
    auto const square = [](double x) { return x * x; };
    return kPowerFloor + static_cast<double>(scale) * (square(a) + square(b));
}

} // namespace

void band_power(BandPowerArgs const& args) {
    index_t const bands = args.y.cols;
    check_matrix("band_power", "x", args.x, args.y.rows, 2 * bands);
    for (index_t t = 0; t < args.x.rows; ++t) {
        float const* x = args.x.row(t);
        float* y = args.y.row(t);
        for (index_t k = 0; k < bands; ++k) {
            y[k] = static_cast<float>(std::log10(power(x[k], x[bands + k], args.scale)) + kPowerOffset);
        }
    }
}

void band_power_backward(BandPowerBackwardArgs const& args) {
    index_t const bands = args.dy.cols;
    check_matrix("band_power_backward", "x", args.x, args.dy.rows, 2 * bands);
    check_matrix("band_power_backward", "dx", args.dx, args.dy.rows, 2 * bands);
    double const factor = 2.0 / std::numbers::ln10 * static_cast<double>(args.scale);
    for (index_t t = 0; t < args.x.rows; ++t) {
        float const* x = args.x.row(t);
        float const* dy = args.dy.row(t);
        float* dx = args.dx.row(t);
        for (index_t k = 0; k < bands; ++k) {
            double const slope = factor * static_cast<double>(dy[k]) / power(x[k], x[bands + k], args.scale);
            dx[k] = static_cast<float>(slope * static_cast<double>(x[k]));
            dx[bands + k] = static_cast<float>(slope * static_cast<double>(x[bands + k]));
        }
    }
}

} // namespace strandwave
