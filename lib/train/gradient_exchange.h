#pragma once

#include "lib/train/train_ops.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace strandwave {

/// What the replicas of a model have to do together when each trains on a device of its own (Trainer): add up their
/// gradients.
class GradientExchange {
public:
    virtual ~GradientExchange() = default;
    virtual std::vector<Device> devices() const = 0; ///< of the replicas, in order; all of one kind
    virtual std::string name() const = 0;            ///< for the log

    struct Part {
        TrainOps* ops;
        float* gradients;
    };
    /// Makes the gradients of every replica the sum of all, the same bits everywhere, in order with the ops of each.
    virtual void sum(std::span<Part const> parts, index_t count) = 0;
};

/// Between several GPUs of this machine. Throws what Nccl throws.
std::shared_ptr<GradientExchange> make_nccl_exchange(std::vector<Device> const& gpus);

} // namespace strandwave
