#include "kernels/adamw/adamw_reference.h"

#include <algorithm>
#include <cmath>

namespace strandwave {

template <class Real>
void adamw_reference(AdamWState<Real>& state, std::vector<float> const& gradients,
                     std::vector<std::uint8_t> const& flags, AdamWStep const& step, int t) {
    auto const beta1 = static_cast<Real>(step.beta1);
    auto const beta2 = static_cast<Real>(step.beta2);
    auto const rate = static_cast<Real>(step.learning_rate);
    auto const flags_of = [&](std::size_t i) { return flags[i / static_cast<std::size_t>(kParameterBlock)]; };
    Real squares = 0;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        auto const g = static_cast<Real>(gradients[i]);
        if ((flags_of(i) & kTrainable) != 0) { squares += g * g; }
    }
    Real const clip =
        step.max_norm > 0
            ? std::min(Real{1}, static_cast<Real>(step.max_norm) / (std::sqrt(squares) + static_cast<Real>(1e-6)))
            : Real{1};
    Real const correction1 = 1 - std::pow(beta1, static_cast<Real>(t));
    Real const correction2 = 1 - std::pow(beta2, static_cast<Real>(t));
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        if ((flags_of(i) & kTrainable) == 0) { continue; }
        Real const g = static_cast<Real>(gradients[i]) * clip;
        Real& p = state.parameters[i];
        Real& m = state.moment1[i];
        Real& v = state.moment2[i];
        if ((flags_of(i) & kWeightDecay) != 0) { p -= rate * static_cast<Real>(step.weight_decay) * p; }
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        p -= rate * (m / correction1) / (std::sqrt(v / correction2) + static_cast<Real>(step.epsilon));
        if (!state.average.empty()) {
            state.average[i] += static_cast<Real>(step.average_rate) * (p - state.average[i]);
        }
    }
}

template void adamw_reference(AdamWState<double>&, std::vector<float> const&, std::vector<std::uint8_t> const&,
                              AdamWStep const&, int);
template void adamw_reference(AdamWState<float>&, std::vector<float> const&, std::vector<std::uint8_t> const&,
                              AdamWStep const&, int);

} // namespace strandwave
