#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace strandwave {

/// FNV-1a over words of 8 bytes, with a final mix. It tells what changed by itself from what did not; it is no defence
/// against who wants two things to look alike.
inline std::uint64_t hash_bytes(void const* data, std::size_t size) {
    auto const* bytes = static_cast<unsigned char const*>(data);
    std::uint64_t hash = 0xcbf29ce484222325ULL ^ size;
    for (std::size_t i = 0; i < size; i += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes + i, std::min(sizeof word, size - i));
        hash = (hash ^ word) * 0x100000001b3ULL;
        hash ^= hash >> 29;
    }
    return hash;
}

} // namespace strandwave
