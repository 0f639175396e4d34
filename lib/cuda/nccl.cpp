#include "lib/cuda/nccl.h"

#include "lib/core/error.h"

#include <cstddef>
#include <cstdlib>
#include <dlfcn.h>

namespace strandwave {
namespace {

// Of nccl.h, unchanged since NCCL 2.0.
constexpr int kSuccess = 0; // ncclSuccess
constexpr int kFloat32 = 7; // ncclFloat32
constexpr int kSum = 0;     // ncclSum

constexpr int kOldest = 20900; // 2.9.0, the first whose number reads as major * 10000 + minor * 100 + patch

std::string number_text(int number) {
    return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." +
           std::to_string(number % 100);
}

} // namespace

/// The library and those of its functions that are called (ncclResult_t and the other enumerations are ints).
struct Nccl::Api {
    explicit Api(std::string const& library) : name_(library), handle_(::dlopen(library.c_str(), RTLD_NOW)) {
        if (handle_ == nullptr) {
            char const* const reason = ::dlerror();
            throw Error(ErrorCode::device,
                        "several GPUs train together through NCCL, and " + library +
                            " is not there: install libnccl2 from NVIDIA's repository for your CUDA, or the Python "
                            "package nvidia-nccl-cu13 and put its lib folder into LD_LIBRARY_PATH; or train on one "
                            "GPU (" +
                            (reason == nullptr ? "no reason given" : reason) + ")");
        }
        find("ncclGetVersion", get_version);
        find("ncclGetErrorString", get_error_string);
        find("ncclCommInitAll", comm_init_all);
        find("ncclCommDestroy", comm_destroy);
        find("ncclAllReduce", all_reduce);
        find("ncclGroupStart", group_start);
        find("ncclGroupEnd", group_end);
        if (get_version(&version) != kSuccess || version < kOldest) {
            throw Error(ErrorCode::device, library + ": NCCL " + number_text(kOldest) + " or newer is needed");
        }
    }

    int (*get_version)(int* version) = nullptr;
    char const* (*get_error_string)(int result) = nullptr;
    int (*comm_init_all)(ncclComm** communicators, int count, int const* gpus) = nullptr;
    int (*comm_destroy)(ncclComm* communicator) = nullptr;
    int (*all_reduce)(void const* from, void* to, std::size_t count, int type, int operation, ncclComm* communicator,
                      GpuStream stream) = nullptr;
    int (*group_start)() = nullptr;
    int (*group_end)() = nullptr;
    int version = 0;

private:
    template <class Function>
    void find(char const* symbol, Function*& function) const {
        function = reinterpret_cast<Function*>(::dlsym(handle_, symbol));
        if (function == nullptr) { throw Error(ErrorCode::device, name_ + " has no " + symbol + ": is it NCCL?"); }
    }

    std::string name_;
    void* handle_; ///< stays loaded: threads of NCCL may outlive its communicators
};

Nccl::Nccl(std::span<int const> gpus, std::string const& library) {
    (void)::setenv("NCCL_NVLS_ENABLE", "0", 0);
    api_ = std::make_unique<Api>(library);
    communicators_.resize(gpus.size(), nullptr);
    check(api_->comm_init_all(communicators_.data(), static_cast<int>(gpus.size()), gpus.data()), "joining the GPUs");
}

Nccl::~Nccl() {
    for (auto* const communicator : communicators_) {
        (void)api_->comm_destroy(communicator);
    }
}

std::string Nccl::version() const { return number_text(api_->version); }

void Nccl::sum(std::span<Part const> parts, index_t count) {
    // A group, since a call alone may wait for those of the other GPUs, which this thread makes too.
    check(api_->group_start(), "adding over GPUs");
    for (std::size_t i = 0; i < parts.size(); ++i) {
        int const result = api_->all_reduce(parts[i].values, parts[i].values, static_cast<std::size_t>(count), kFloat32,
                                            kSum, communicators_[i], parts[i].stream);
        if (result != kSuccess) {
            (void)api_->group_end();
            check(result, "adding over GPUs");
        }
    }
    check(api_->group_end(), "adding over GPUs");
}

void Nccl::check(int result, char const* what) const {
    if (result == kSuccess) { return; }
    throw Error(ErrorCode::device,
                std::string(what) + " with NCCL " + version() + ": " + api_->get_error_string(result));
}

} // namespace strandwave
