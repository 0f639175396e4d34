#pragma once

#include "lib/core/view.h"
#include "lib/cuda/stream.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

struct ncclComm; // ncclComm_t points to it; no header of NCCL is needed

namespace strandwave {

/// Sums over the GPUs of this machine with NCCL, NVIDIA's library of collective operations
/// (https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api.html). It is loaded at run time, since Debian has no
/// package of it and one GPU needs none. All GPUs are driven from the thread that calls. Not thread-safe.
class Nccl {
public:
    /// Loads `library` and joins the GPUs (Gpu::index, each once). Where the environment does not say otherwise, sums
    /// in the switch (NCCL_NVLS_ENABLE) are off: they are not the same from call to call
    /// (https://github.com/NVIDIA/nccl/issues/1497), and a run has to be.
    /// Throws device: the library is not there (the message says what to install) or too old, or what NCCL says.
    explicit Nccl(std::span<int const> gpus, std::string const& library = "libnccl.so.2");
    ~Nccl();
    Nccl(Nccl const&) = delete;
    Nccl& operator=(Nccl const&) = delete;

    std::string version() const; ///< "2.27.7"

    /// `count` numbers of a GPU, with the stream that they are made on and read on.
    struct Part {
        float* values;
        GpuStream stream;
    };
    /// Makes every part the sum of all, the same bits everywhere. One part for each GPU, in the order of the
    /// constructor; asynchronous. Throws device.
    void sum(std::span<Part const> parts, index_t count);

private:
    struct Api;
    void check(int result, char const* what) const;

    std::unique_ptr<Api> api_;
    std::vector<ncclComm*> communicators_; ///< of each GPU
};

} // namespace strandwave
