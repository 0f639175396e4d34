#include "lib/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace strandwave {

double learning_rate(OptimizerOptions const& options, index_t step, index_t steps) {
    if (step <= options.warmup_steps) {
        return options.learning_rate * static_cast<double>(step) / static_cast<double>(options.warmup_steps);
    }
    auto const falling = static_cast<double>(std::max<index_t>(1, steps - options.warmup_steps));
    double const done = std::min(1.0, static_cast<double>(step - options.warmup_steps) / falling);
    double const share =
        options.final_share + (1 - options.final_share) * 0.5 * (1 + std::cos(std::numbers::pi * done));
    return options.learning_rate * share;
}

AdamWStep adamw_step(OptimizerOptions const& options, index_t step, index_t steps) {
    AdamWStep s;
    s.learning_rate = static_cast<float>(learning_rate(options, step, steps));
    s.beta1 = static_cast<float>(options.beta1);
    s.beta2 = static_cast<float>(options.beta2);
    s.epsilon = static_cast<float>(options.epsilon);
    s.weight_decay = static_cast<float>(options.weight_decay);
    // Of the betas as the moments see them: rounded.
    s.correction1 = static_cast<float>(1 - std::pow(static_cast<double>(s.beta1), static_cast<double>(step)));
    s.correction2 = static_cast<float>(1 - std::pow(static_cast<double>(s.beta2), static_cast<double>(step)));
    s.max_norm = static_cast<float>(options.max_norm);
    auto const t = static_cast<double>(step);
    s.average_rate = static_cast<float>(1 - std::min(options.average_decay, (1 + t) / (10 + t)));
    return s;
}

} // namespace strandwave
