#pragma once

#include "lib/core/result.h"
#include "lib/core/view.h"

#include <string>
#include <vector>

namespace strandwave {

/// A GPU of this machine that the CUDA backend can use.
struct Gpu {
    int index = 0; ///< as the driver counts; `--device cuda:index`
    std::string name;
    int multiprocessors = 0;
    int compute_capability = 0; ///< 80, 90, ...
    index_t total_bytes = 0;
    double clock_hz = 0; ///< highest, of the multiprocessors
};

/// The GPUs of this machine, or why there are none (code device): "built without CUDA", "no driver", "no GPU",
/// "the driver is too old for CUDA 13.0", ...
Result<std::vector<Gpu>> find_gpus();

/// The one of them with that index. Throws device.
Gpu find_gpu(int index);

} // namespace strandwave
