#include "kernels/linear/linear_reference.h"

namespace strandwave {

template <class Real>
std::vector<Real> linear_reference(View<float const, 2> x, View<float const, 2> weight, View<float const, 1> bias) {
    std::vector<Real> y(static_cast<std::size_t>(x.rows * weight.rows));
    for (index_t t = 0; t < x.rows; ++t) {
        for (index_t o = 0; o < weight.rows; ++o) {
            Real sum = bias.empty() ? Real{0} : static_cast<Real>(bias(o));
            for (index_t i = 0; i < x.cols; ++i) {
                sum += static_cast<Real>(x(t, i)) * static_cast<Real>(weight(o, i));
            }
            y[static_cast<std::size_t>(t * weight.rows + o)] = sum;
        }
    }
    return y;
}

template std::vector<double> linear_reference(View<float const, 2>, View<float const, 2>, View<float const, 1>);
template std::vector<float> linear_reference(View<float const, 2>, View<float const, 2>, View<float const, 1>);

} // namespace strandwave
