#include "lib/cuda/device_memory.h"

#include "lib/core/error.h"

#include <cuda_runtime_api.h>
#include <string>

namespace strandwave {
namespace {

constexpr index_t kMiB = 1 << 20;

[[noreturn]] void throw_out_of_memory(index_t bytes) {
    cudaGetLastError(); // this error is over; the next launch must not report it
    throw Error(ErrorCode::too_large, "the GPU has no " + std::to_string(bytes / kMiB) +
                                          " MiB left (free: " + std::to_string(free_device_bytes() / kMiB) + " MiB)");
}

} // namespace

DeviceMemory::DeviceMemory(index_t bytes) : bytes_(bytes) {
    if (bytes == 0) { return; }
    auto const error = cudaMalloc(&data_, static_cast<std::size_t>(bytes));
    if (error == cudaErrorMemoryAllocation) { throw_out_of_memory(bytes); }
    check_cuda(error, "allocating device memory");
}

DeviceMemory::~DeviceMemory() { cudaFree(data_); }

PinnedMemory::PinnedMemory(index_t bytes) : bytes_(bytes) {
    if (bytes == 0) { return; }
    check_cuda(cudaMallocHost(&data_, static_cast<std::size_t>(bytes)), "allocating page-locked memory");
}

PinnedMemory::~PinnedMemory() { cudaFreeHost(data_); }

void copy_to_device(void* to, void const* from, index_t bytes, GpuStream stream) {
    check_cuda(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream),
               "copying to the GPU");
}

void copy_to_host(void* to, void const* from, index_t bytes, GpuStream stream) {
    check_cuda(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream),
               "copying from the GPU");
}

void copy_on_device(void* to, void const* from, index_t bytes, GpuStream stream) {
    check_cuda(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice, stream),
               "copying within the GPU");
}

void fill_bytes(void* to, int value, index_t bytes, GpuStream stream) {
    check_cuda(cudaMemsetAsync(to, value, static_cast<std::size_t>(bytes), stream), "filling device memory");
}

index_t free_device_bytes() {
    std::size_t free = 0;
    std::size_t total = 0;
    check_cuda(cudaMemGetInfo(&free, &total), "asking for free device memory");
    return static_cast<index_t>(free);
}

} // namespace strandwave
