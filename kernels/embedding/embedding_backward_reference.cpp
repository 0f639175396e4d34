#include "kernels/embedding/embedding_backward_reference.h"

namespace strandwave {

template <class Real>
std::vector<Real> embedding_backward_reference(std::span<std::int32_t const> tokens, View<float const, 2> dy,
                                               index_t vocab) {
    std::vector<Real> dtable(static_cast<std::size_t>(vocab * dy.cols), Real{0});
    for (index_t t = 0; t < dy.rows; ++t) {
        for (index_t c = 0; c < dy.cols; ++c) {
            index_t const element = tokens[static_cast<std::size_t>(t)] * dy.cols + c;
            dtable[static_cast<std::size_t>(element)] += static_cast<Real>(dy(t, c));
        }
    }
    return dtable;
}

template std::vector<double> embedding_backward_reference(std::span<std::int32_t const> tokens, View<float const, 2> dy,
                                                          index_t vocab);
template std::vector<float> embedding_backward_reference(std::span<std::int32_t const> tokens, View<float const, 2> dy,
                                                         index_t vocab);

} // namespace strandwave
