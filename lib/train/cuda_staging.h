#pragma once

#include "lib/cuda/device_memory.h"

#include <array>

namespace strandwave {

/// Copies host memory to a GPU without waiting for it: by way of page-locked memory, of which one half is filled while
/// the GPU may still read the other.
class CudaStaging {
public:
    /// Behind what was put on the stream before; `from` may change as soon as the call returns.
    void upload(void* to, void const* from, index_t bytes, GpuStream stream);

private:
    struct Half {
        PinnedMemory memory;
        Event read; ///< behind the last copy out of it
        bool used = false;
    };
    void turn(index_t bytes, GpuStream stream);

    std::array<Half, 2> halves_;
    std::size_t current_ = 0;
    index_t filled_ = 0;
};

} // namespace strandwave
