#include "kernels/norm/norm_reference.h"

#include <cmath>

namespace strandwave {

template <class Real>
std::vector<Real> norm_reference(NormArgs const& a, bool centred) {
    auto const n = static_cast<Real>(a.x.cols);
    std::vector<Real> y(static_cast<std::size_t>(a.x.rows * a.x.cols));
    for (index_t t = 0; t < a.x.rows; ++t) {
        Real mean = 0;
        for (index_t c = 0; centred && c < a.x.cols; ++c) {
            mean += static_cast<Real>(a.x(t, c)) / n;
        }
        Real variance = 0;
        for (index_t c = 0; c < a.x.cols; ++c) {
            Real const centred_value = static_cast<Real>(a.x(t, c)) - mean;
            variance += centred_value * centred_value / n;
        }
        Real const factor = Real{1} / std::sqrt(variance + static_cast<Real>(a.epsilon));
        for (index_t c = 0; c < a.x.cols; ++c) {
            Real value = (static_cast<Real>(a.x(t, c)) - mean) * factor;
            if (!a.weight.empty()) { value *= static_cast<Real>(a.weight(c)); }
            if (!a.bias.empty()) { value += static_cast<Real>(a.bias(c)); }
            y[static_cast<std::size_t>(t * a.x.cols + c)] = value;
        }
    }
    return y;
}

template std::vector<double> norm_reference(NormArgs const& args, bool centred);
template std::vector<float> norm_reference(NormArgs const& args, bool centred);

} // namespace strandwave
