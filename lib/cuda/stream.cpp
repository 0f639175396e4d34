#include "lib/cuda/stream.h"

#include "lib/core/error.h"

#include <cuda_runtime_api.h>
#include <string>

namespace strandwave {

void check_cuda(int status, char const* what) {
    auto const error = static_cast<cudaError_t>(status);
    if (error == cudaSuccess) { return; }
    cudaGetLastError(); // it is told here: forgotten, lest the next check_launch tell it again (a lost GPU stays lost)
    auto const code = error == cudaErrorMemoryAllocation ? ErrorCode::too_large : ErrorCode::device;
    throw Error(code, std::string(what) + ": " + cudaGetErrorString(error));
}

void check_launch(char const* op) { check_cuda(cudaGetLastError(), op); }

void wait_for_gpu() { check_cuda(cudaDeviceSynchronize(), "waiting for the GPU"); }

void use_gpu(int gpu) { check_cuda(cudaSetDevice(gpu), "choosing the GPU"); }

Stream::Stream(bool urgent) {
    int least = 0;
    int most = 0;
    check_cuda(cudaDeviceGetStreamPriorityRange(&least, &most), "making a stream");
    check_cuda(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, urgent ? most : least), "making a stream");
}

void Stream::wait_for(Event const& event) const {
    check_cuda(cudaStreamWaitEvent(stream_, event.event_, 0), "ordering two streams");
}

Stream::~Stream() { cudaStreamDestroy(stream_); }
void Stream::wait() const { check_cuda(cudaStreamSynchronize(stream_), "waiting for the GPU"); }

Event::Event() { check_cuda(cudaEventCreate(&event_), "making an event"); }
Event::~Event() { cudaEventDestroy(event_); }
void Event::record(GpuStream stream) { check_cuda(cudaEventRecord(event_, stream), "marking a stream"); }
void Event::wait() const { check_cuda(cudaEventSynchronize(event_), "waiting for the GPU"); }

double Event::milliseconds_since(Event const& begin) const {
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, begin.event_, event_), "reading an event");
    return static_cast<double>(milliseconds);
}

} // namespace strandwave
