#pragma once

#include "lib/core/view.h"

#include <cstdint>

// Included by C++ and by CUDA code: the same function for both.
#if defined(__CUDACC__)
#define STRANDWAVE_HOST_DEVICE __host__ __device__
#else
#define STRANDWAVE_HOST_DEVICE
#endif

namespace strandwave {

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014; lib/core/random.h): every bit of z changes half of the result.
STRANDWAVE_HOST_DEVICE inline std::uint64_t mix_bits(std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/// Which elements a dropout keeps, as a function of where they are.
struct DropoutHash {
    static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ULL; ///< of SplitMix64
    std::uint64_t key = 0;

    STRANDWAVE_HOST_DEVICE DropoutHash(std::uint64_t seed, std::uint64_t site)
        : key(mix_bits(mix_bits(seed + kStep) + (site + 1) * kStep)) {}

    STRANDWAVE_HOST_DEVICE std::uint64_t row_key(index_t row) const {
        return mix_bits(key + static_cast<std::uint64_t>(row + 1) * kStep);
    }
    /// Uniform over 32 bits; an element is kept if it is at least probability * 2^32.
    STRANDWAVE_HOST_DEVICE static std::uint32_t bits(std::uint64_t row_key, index_t col) {
        return static_cast<std::uint32_t>(mix_bits(row_key + static_cast<std::uint64_t>(col + 1) * kStep) >> 32);
    }
};

/// probability * 2^32, for a probability in [0, 1).
inline std::uint32_t dropout_threshold(float probability) {
    return static_cast<std::uint32_t>(static_cast<double>(probability) * 0x1p32);
}

} // namespace strandwave
