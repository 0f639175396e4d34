#include "kernels/norm/norm_backward_reference.h"

#include <cmath>

namespace strandwave {

template <class Real>
NormGradients<Real> norm_backward_reference(NormBackwardArgs const& a, bool centred) {
    index_t const d = a.x.cols;
    auto const n = static_cast<Real>(d);
    auto const width = static_cast<std::size_t>(d);
    NormGradients<Real> to{std::vector<Real>(static_cast<std::size_t>(a.x.rows * d)), std::vector<Real>(width),
                           std::vector<Real>(width)};
    auto const gradient = [&](index_t t, index_t c) {
        auto const dy = static_cast<Real>(a.dy(t, c));
        return a.weight.empty() ? dy : dy * static_cast<Real>(a.weight(c));
    };
    for (index_t t = 0; t < a.x.rows; ++t) {
        Real mean = 0;
        for (index_t c = 0; centred && c < d; ++c) {
            mean += static_cast<Real>(a.x(t, c)) / n;
        }
        Real variance = 0;
        for (index_t c = 0; c < d; ++c) {
            Real const difference = static_cast<Real>(a.x(t, c)) - mean;
            variance += difference * difference / n;
        }
        Real const factor = Real{1} / std::sqrt(variance + static_cast<Real>(a.epsilon));
        auto const normal = [&](index_t c) { return (static_cast<Real>(a.x(t, c)) - mean) * factor; };
        Real mean_gradient = 0;
        Real mean_along = 0;
        for (index_t c = 0; c < d; ++c) {
            if (centred) { mean_gradient += gradient(t, c) / n; }
            mean_along += gradient(t, c) * normal(c) / n;
        }
        for (index_t c = 0; c < d; ++c) {
            auto const dy = static_cast<Real>(a.dy(t, c));
            to.x[static_cast<std::size_t>(t * d + c)] =
                factor * (gradient(t, c) - mean_gradient - normal(c) * mean_along);
            to.weight[static_cast<std::size_t>(c)] += dy * normal(c);
            to.bias[static_cast<std::size_t>(c)] += dy;
        }
    }
    return to;
}

template NormGradients<double> norm_backward_reference(NormBackwardArgs const& args, bool centred);
template NormGradients<float> norm_backward_reference(NormBackwardArgs const& args, bool centred);

} // namespace strandwave
