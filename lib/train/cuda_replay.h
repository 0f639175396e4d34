#pragma once

#include "lib/cuda/stream.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

struct CUgraphExec_st; // cudaGraphExec_t points to it; no CUDA header is needed here

namespace strandwave {

/// Launch sequences that come again, as CUDA graphs: small steps are bound by their launches otherwise.
class CudaReplays {
public:
    /// Runs `body`, which puts work on `stream` and nothing else: itself the first time that a key comes, as a graph
    /// from the second time on. Keys beyond kMost run as they are.
    void run(std::uint64_t key, GpuStream stream, std::function<void()> const& body);

    void clear() { graphs_.clear(); } ///< memory that they use goes away

private:
    static constexpr std::size_t kMost = 64;
    struct Destroy {
        void operator()(CUgraphExec_st* graph) const noexcept;
    };
    using Graph = std::unique_ptr<CUgraphExec_st, Destroy>;
    static Graph capture(GpuStream stream, std::function<void()> const& body);

    std::map<std::uint64_t, Graph> graphs_; ///< null: the key came once
};

} // namespace strandwave
