#include "kernels/adamw/adamw.h"

#include "kernels/adamw/adamw_cpu.h"
#include "lib/core/check.h"

#include <cmath>

namespace strandwave {
namespace {

constexpr index_t kChains = 8; ///< sums that run side by side

double squares_of_block(float const* gradients) {
    double sums[kChains] = {};
    for (index_t i = 0; i < kParameterBlock; i += kChains) {
        for (index_t chain = 0; chain < kChains; ++chain) {
            auto const g = static_cast<double>(gradients[i + chain]);
            sums[chain] += g * g;
        }
    }
    double sum = 0;
    for (double const part : sums) {
        sum += part;
    }
    return sum;
}

} // namespace

void squared_norm(float const* gradients, std::uint8_t const* flags, index_t count, double* out) {
    check_extent("squared_norm", "the remainder of the last block", count % kParameterBlock, 0);
    double sum = 0;
    for (index_t block = 0; block < count / kParameterBlock; ++block) {
        if ((flags[block] & kTrainable) != 0) { sum += squares_of_block(gradients + block * kParameterBlock); }
    }
    *out = sum;
}

void adamw(AdamWArgs const& args) {
    check_extent("adamw", "the remainder of the last block", args.count % kParameterBlock, 0);
    AdamWStep const& step = *args.step;
    AdamWFactors factors{.beta1 = step.beta1,
                         .rest1 = 1.0F - step.beta1,
                         .beta2 = step.beta2,
                         .rest2 = 1.0F - step.beta2,
                         .decay = 1.0F - step.learning_rate * step.weight_decay,
                         .rate = step.learning_rate / step.correction1,
                         .root = std::sqrt(step.correction2),
                         .epsilon = step.epsilon,
                         .average_rate = step.average_rate};
    bool const active = args.squared_norm == nullptr || std::isfinite(*args.squared_norm);
    if (active && args.squared_norm != nullptr && step.max_norm > 0) {
        double const most = static_cast<double>(step.max_norm) / (std::sqrt(*args.squared_norm) + 1e-6);
        factors.clip = most < 1.0 ? static_cast<float>(most) : 1.0F;
    }
    if (active) { adamw_cpu(args, factors); }
    for (index_t i = 0; args.working != nullptr && i < args.count; ++i) {
        args.working[i] = to_bf16(args.parameters[i]);
    }
}

} // namespace strandwave
