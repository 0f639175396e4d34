#include "lib/train/gradient_exchange.h"

#include "lib/cuda/nccl.h"

#include <algorithm>

namespace strandwave {
namespace {

std::vector<int> indices(std::vector<Device> const& gpus) {
    std::vector<int> result;
    std::transform(gpus.begin(), gpus.end(), std::back_inserter(result), [](Device gpu) { return gpu.gpu; });
    return result;
}

class NcclExchange final : public GradientExchange {
public:
    explicit NcclExchange(std::vector<Device> const& gpus) : gpus_(gpus), nccl_(indices(gpus)) {}

    std::vector<Device> devices() const override { return gpus_; }
    std::string name() const override { return "NCCL " + nccl_.version(); }
    void sum(std::span<Part const> parts, index_t count) override {
        std::vector<Nccl::Part> streams;
        for (auto const& part : parts) {
            streams.push_back({part.gradients, part.ops->stream()});
        }
        nccl_.sum(streams, count);
    }

private:
    std::vector<Device> gpus_;
    Nccl nccl_;
};

} // namespace

std::shared_ptr<GradientExchange> make_nccl_exchange(std::vector<Device> const& gpus) {
    return std::make_shared<NcclExchange>(gpus);
}

} // namespace strandwave
