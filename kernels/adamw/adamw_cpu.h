#pragma once

#include "kernels/adamw/adamw.h"

namespace strandwave {

/// What an element is multiplied with in a step; the same operations make it on the GPU.
struct AdamWFactors {
    float beta1, rest1; ///< rest: 1 - beta
    float beta2, rest2;
    float decay; ///< of a parameter that decays
    float rate;  ///< learning rate / correction1
    float root;  ///< sqrt(correction2)
    float epsilon;
    float average_rate;
    float clip = 1.0F; ///< of gradients
};

/// The CPU kernel over all trainable blocks; `working` is not written.
void adamw_cpu(AdamWArgs const& args, AdamWFactors const& factors);

} // namespace strandwave
