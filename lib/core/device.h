#pragma once

#include <string>

namespace strandwave {

/// Where a model computes: the processor, or one GPU.
struct Device {
    int gpu = -1; ///< as the CUDA driver counts, from 0; negative: the processor

    bool is_gpu() const noexcept { return gpu >= 0; }
    std::string name() const { return is_gpu() ? "cuda:" + std::to_string(gpu) : "cpu"; }
};

} // namespace strandwave
