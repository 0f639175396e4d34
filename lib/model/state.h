#pragma once

#include "lib/core/view.h"

#include <vector>

namespace strandwave {

/// Everything that a causal model carries from one token of a record to the next: a value, fp32, of fixed size.
struct LaneState {
    struct Layer {
        std::vector<float> conv; ///< [d_conv - 1, d_inner]: the last inputs of the convolution, oldest first
        std::vector<float> scan; ///< [d_state, d_inner]: h of the selective scan
    };
    std::vector<Layer> layers;
    std::vector<double> pooled; ///< [d_model]: running sum, maximum, or the first or last vector
    index_t length = 0;         ///< positions seen
};

} // namespace strandwave
