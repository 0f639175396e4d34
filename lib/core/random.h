#pragma once

#include <cmath>
#include <cstdint>

namespace strandwave {

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same numbers on every platform, which the
/// distributions of <random> do not promise.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t bits() noexcept {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
    }

    double uniform() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; } ///< in [0, 1)
    double uniform(double low, double high) noexcept { return low + (high - low) * uniform(); }

    /// An integer in [0, n), n > 0; the bias of the modulo is below n / 2^64.
    std::uint64_t below(std::uint64_t n) noexcept { return bits() % n; }

    /// Standard normal by Box and Muller.
    double normal() noexcept {
        double const radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
        return radius * std::cos(6.283185307179586 * uniform());
    }

private:
    std::uint64_t state_;
};

} // namespace strandwave
