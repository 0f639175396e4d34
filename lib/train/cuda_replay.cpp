#include "lib/train/cuda_replay.h"

#include <cuda_runtime_api.h>

namespace strandwave {

void CudaReplays::Destroy::operator()(CUgraphExec_st* graph) const noexcept { (void)cudaGraphExecDestroy(graph); }

void CudaReplays::run(std::uint64_t key, GpuStream stream, std::function<void()> const& body) {
    auto const known = graphs_.find(key);
    if (known == graphs_.end()) {
        if (graphs_.size() < kMost) { graphs_.emplace(key, nullptr); }
        body();
        return;
    }
    if (!known->second) { known->second = capture(stream, body); }
    check_cuda(cudaGraphLaunch(known->second.get(), stream), "cudaGraphLaunch");
}

CudaReplays::Graph CudaReplays::capture(GpuStream stream, std::function<void()> const& body) {
    cudaGraph_t recorded = nullptr;
    check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
    try {
        body();
    } catch (...) {
        (void)cudaStreamEndCapture(stream, &recorded);
        (void)cudaGraphDestroy(recorded);
        throw;
    }
    check_cuda(cudaStreamEndCapture(stream, &recorded), "cudaStreamEndCapture");
    cudaGraphExec_t graph = nullptr;
    int const status = cudaGraphInstantiate(&graph, recorded, 0);
    (void)cudaGraphDestroy(recorded);
    check_cuda(status, "cudaGraphInstantiate");
    return Graph(graph);
}

} // namespace strandwave
