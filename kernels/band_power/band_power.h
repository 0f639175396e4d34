#pragma once

#include "lib/core/view.h"

namespace strandwave {

inline constexpr double kPowerFloor = 1e-6;
inline constexpr double kPowerOffset = 3;

/// How loud a frame is in each band of a learned filter bank (the idea of Zeghidour et al. 2021, LEAF, equations 1 to
/// 3: filters in quadrature, squared, compressed). x `[rows, 2 K]` holds the outputs of K pairs of filters, the first
/// of each pair in the first K columns; y `[rows, K]`:
///
///     y[t,k] = log10(10^-6 + scale (x[t,k]^2 + x[t,K+k]^2)) + 3
///
/// bels above or below a power of 10^-3; silence gives -3. Each row for itself, so pieces give the bits of the whole.
/// In double, rounded once. y may not overlap x. Throws shape_mismatch.
struct BandPowerArgs {
    View<float const, 2> x;
    float scale = 1; ///< 1 / frame_length: the power of a sample, whatever the length of the filters
    View<float, 2> y;
};
void band_power(BandPowerArgs const& args);

/// Its gradient: dx[t,j] = 2 scale x[t,j] / (ln 10 (10^-6 + scale (x[t,k]^2 + x[t,K+k]^2))) dy[t,k] for j = k and K +
/// k.
struct BandPowerBackwardArgs {
    View<float const, 2> x;
    float scale = 1;
    View<float const, 2> dy; ///< [rows, K]
    View<float, 2> dx;       ///< [rows, 2 K]; may be x
};
void band_power_backward(BandPowerBackwardArgs const& args);

} // namespace strandwave
