#include "kernels/causal_conv1d/causal_conv1d_backward_reference.h"

#include <cmath>

namespace strandwave {
namespace {

/// One channel of one segment; i counts rows of time, negative ones are the carried ones.
template <class Real>
class Channel {
public:
    Channel(CausalConv1dBackwardArgs const& a, ConvBackwardSegment const& segment, index_t c)
        : a_(a), segment_(segment), c_(c), history_(a.weight.rows - 1) {}

    index_t row(index_t i) const { return a_.reverse ? segment_.begin + segment_.length - 1 - i : segment_.begin + i; }
    Real input(index_t i) const {
        if (i >= 0) { return static_cast<Real>(a_.x(row(i), c_)); }
        return segment_.initial == nullptr ? Real{0}
                                           : static_cast<Real>(segment_.initial[(history_ + i) * a_.x.cols + c_]);
    }
    Real weight(index_t k) const { return static_cast<Real>(a_.weight(k, c_)); }

    /// dL/ds of row i; 0 behind the segment's end.
    Real gradient_of_sum(index_t i) const {
        if (i < 0 || i >= segment_.length) { return Real{0}; }
        Real sum = a_.bias.empty() ? Real{0} : static_cast<Real>(a_.bias(c_));
        for (index_t k = 0; k <= history_; ++k) {
            sum += weight(k) * input(i - history_ + k);
        }
        Real const sigmoid = Real{1} / (Real{1} + std::exp(-sum));
        return static_cast<Real>(a_.dy(row(i), c_)) * sigmoid * (Real{1} + sum * (Real{1} - sigmoid));
    }

    Real gradient_of_input(index_t i) const {
        Real sum = 0;
        for (index_t k = 0; k <= history_; ++k) {
            sum += weight(k) * gradient_of_sum(i + history_ - k);
        }
        index_t const carried_out = i - (segment_.length - history_);
        if (carried_out >= 0 && segment_.d_final != nullptr) {
            sum += static_cast<Real>(segment_.d_final[carried_out * a_.x.cols + c_]);
        }
        return sum;
    }

private:
    CausalConv1dBackwardArgs const& a_;
    ConvBackwardSegment const& segment_;
    index_t c_;
    index_t history_;
};

} // namespace

template <class Real>
ConvGradients<Real> causal_conv1d_backward_reference(CausalConv1dBackwardArgs const& a) {
    index_t const channels = a.x.cols;
    index_t const history = a.weight.rows - 1;
    auto const zeros = [&](index_t rows) { return std::vector<Real>(static_cast<std::size_t>(rows * channels)); };
    auto const at = [&](index_t row, index_t c) { return static_cast<std::size_t>(row * channels + c); };
    ConvGradients<Real> to{zeros(a.x.rows), zeros(history + 1), zeros(1), {}};
    for (auto const& segment : a.segments) {
        auto& initial = to.initial.emplace_back(zeros(history));
        for (index_t c = 0; c < channels; ++c) {
            Channel<Real> const channel(a, segment, c);
            for (index_t i = -history; i < 0; ++i) {
                initial[at(history + i, c)] = channel.gradient_of_input(i);
            }
            for (index_t i = 0; i < segment.length; ++i) {
                to.x[at(channel.row(i), c)] = channel.gradient_of_input(i);
                Real const ds = channel.gradient_of_sum(i);
                to.bias[at(0, c)] += ds;
                for (index_t k = 0; k <= history; ++k) {
                    to.weight[at(k, c)] += ds * channel.input(i - history + k);
                }
            }
        }
    }
    return to;
}

template ConvGradients<double> causal_conv1d_backward_reference(CausalConv1dBackwardArgs const& args);
template ConvGradients<float> causal_conv1d_backward_reference(CausalConv1dBackwardArgs const& args);

} // namespace strandwave
