#include "lib/cuda/gpus.h"

#if STRANDWAVE_HAS_CUDA
#include <cuda_runtime_api.h>
#endif

#include <algorithm>

namespace strandwave {

#if STRANDWAVE_HAS_CUDA

Result<std::vector<Gpu>> find_gpus() {
    int count = 0;
    auto const error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError();
        // What the runtime says of a missing driver is that it is too old.
        int driver = 0;
        bool const no_driver = cudaDriverGetVersion(&driver) == cudaSuccess && driver == 0;
        return Error(ErrorCode::device, no_driver ? "no driver" : cudaGetErrorString(error));
    }
    std::vector<Gpu> gpus;
    for (int i = 0; i < count; ++i) {
        cudaDeviceProp properties{};
        if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) { continue; }
        int clock_khz = 0;
        if (cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, i) != cudaSuccess) { clock_khz = 0; }
        gpus.push_back({i, properties.name, properties.multiProcessorCount, 10 * properties.major + properties.minor,
                        static_cast<index_t>(properties.totalGlobalMem), 1e3 * clock_khz});
    }
    if (gpus.empty()) { return Error(ErrorCode::device, "no GPU"); }
    return gpus;
}

#else

Result<std::vector<Gpu>> find_gpus() { return Error(ErrorCode::device, "built without CUDA"); }

#endif

Gpu find_gpu(int index) {
    auto const gpus = find_gpus().value();
    auto const found = std::find_if(gpus.begin(), gpus.end(), [&](Gpu const& gpu) { return gpu.index == index; });
    if (found == gpus.end()) { throw Error(ErrorCode::device, "no GPU " + std::to_string(index)); }
    return *found;
}

} // namespace strandwave
