#pragma once

#include "kernels/adamw/adamw.h"
#include "lib/core/view.h"

namespace strandwave {

/// How the step size goes: a linear warm-up, then half a cosine down to a share of the peak (Loshchilov & Hutter 2016,
/// arXiv:1608.03983, without restarts). The other numbers are AdamW's.
struct OptimizerOptions {
    double learning_rate = 1e-3; ///< at the peak
    index_t warmup_steps = 0;
    double final_share = 0.0; ///< of learning_rate, at the last step
    double weight_decay = 0.1;
    double beta1 = 0.9;
    double beta2 = 0.95;
    double epsilon = 1e-8;
    double max_norm = 1.0; ///< of all gradients; 0: no clipping
    /// > 0: an exponential moving average of the parameters goes along (Polyak & Juditsky 1992,
    /// doi:10.1137/0330046), at step t with decay min(average_decay, (1 + t) / (10 + t)), so that what the first steps
    /// leave behind is soon forgotten.
    double average_decay = 0;
};

/// The learning rate of step `step` (1, 2, .. steps).
double learning_rate(OptimizerOptions const& options, index_t step, index_t steps);

AdamWStep adamw_step(OptimizerOptions const& options, index_t step, index_t steps);

} // namespace strandwave
