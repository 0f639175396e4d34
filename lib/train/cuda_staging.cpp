#include "lib/train/cuda_staging.h"

#include <algorithm>
#include <cstring>

namespace strandwave {

void CudaStaging::upload(void* to, void const* from, index_t bytes, GpuStream stream) {
    if (bytes == 0) { return; }
    constexpr index_t kAlignment = 64;
    if (filled_ + bytes > halves_[current_].memory.bytes()) { turn(bytes, stream); }
    auto* const place = static_cast<char*>(halves_[current_].memory.data()) + filled_;
    std::memcpy(place, from, static_cast<std::size_t>(bytes));
    copy_to_device(to, place, bytes, stream);
    filled_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Goes over to the other half, once the GPU has read it.
void CudaStaging::turn(index_t bytes, GpuStream stream) {
    constexpr index_t kSmallest = index_t{4} << 20;
    halves_[current_].read.record(stream);
    halves_[current_].used = true;
    current_ = 1 - current_;
    filled_ = 0;
    auto& half = halves_[current_];
    if (half.used) { half.read.wait(); }
    if (half.memory.bytes() < bytes) { half.memory = PinnedMemory(std::max(2 * bytes, kSmallest)); }
}

} // namespace strandwave
