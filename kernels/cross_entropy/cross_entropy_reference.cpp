#include "kernels/cross_entropy/cross_entropy_reference.h"

#include <algorithm>
#include <cmath>

namespace strandwave {
namespace {

std::size_t place(index_t row, index_t col, index_t cols) { return static_cast<std::size_t>(row * cols + col); }

/// log(sum(exp(values)))
template <class Real>
Real log_sum(std::vector<Real> const& values) {
    Real const largest = *std::max_element(values.begin(), values.end());
    Real sum = 0;
    for (Real const value : values) {
        sum += std::exp(value - largest);
    }
    return largest + std::log(sum);
}

} // namespace

template <class Real>
LossReference<Real> cross_entropy_reference(std::vector<Real> const& logits, CrossEntropyArgs const& a) {
    index_t const cols = a.logits.cols;
    LossReference<Real> result{0, std::vector<Real>(logits.size())};
    for (index_t row = 0; row < a.logits.rows; ++row) {
        index_t const target = a.targets[static_cast<std::size_t>(row)];
        if (target < 0) { continue; }
        index_t const mate = a.mates.empty() ? -1 : a.mates[static_cast<std::size_t>(row)];
        std::vector<Real> values;
        for (index_t v = 0; v < cols; ++v) {
            Real const own = logits[place(row, v, cols)];
            values.push_back(mate < 0 ? own
                                      : own + logits[place(mate, a.complement[static_cast<std::size_t>(v)], cols)]);
        }
        Real const total = log_sum(values);
        result.loss += total - values[static_cast<std::size_t>(target)];
        for (index_t v = 0; v < cols; ++v) {
            Real const p = std::exp(values[static_cast<std::size_t>(v)] - total);
            Real const gradient = static_cast<Real>(a.scale) * (p - (v == target ? Real{1} : Real{0}));
            result.gradient[place(row, v, cols)] = gradient;
            if (mate < 0) { continue; }
            result.gradient[place(mate, a.complement[static_cast<std::size_t>(v)], cols)] = gradient;
        }
    }
    return result;
}

template <class Real>
LossReference<Real> soft_cross_entropy_reference(std::vector<Real> const& y, RowLossArgs const& a) {
    index_t const cols = a.y.cols;
    LossReference<Real> result{0, std::vector<Real>(y.size())};
    for (index_t row = 0; row < a.y.rows; ++row) {
        auto const first = y.begin() + static_cast<std::ptrdiff_t>(row * cols);
        Real const total = log_sum(std::vector<Real>(first, first + static_cast<std::ptrdiff_t>(cols)));
        Real weight = 0;
        for (index_t k = 0; k < cols; ++k) {
            auto const t = static_cast<Real>(a.targets(row, k));
            weight += t;
            result.loss -= t * (y[place(row, k, cols)] - total);
        }
        for (index_t k = 0; k < cols; ++k) {
            Real const p = std::exp(y[place(row, k, cols)] - total);
            result.gradient[place(row, k, cols)] =
                static_cast<Real>(a.scale) * (p * weight - static_cast<Real>(a.targets(row, k)));
        }
    }
    return result;
}

template <class Real>
LossReference<Real> squared_error_reference(std::vector<Real> const& y, RowLossArgs const& a) {
    LossReference<Real> result{0, std::vector<Real>(y.size())};
    for (index_t row = 0; row < a.y.rows; ++row) {
        for (index_t k = 0; k < a.y.cols; ++k) {
            Real const difference = y[place(row, k, a.y.cols)] - static_cast<Real>(a.targets(row, k));
            result.loss += difference * difference / 2;
            result.gradient[place(row, k, a.y.cols)] = static_cast<Real>(a.scale) * difference;
        }
    }
    return result;
}

template LossReference<double> cross_entropy_reference(std::vector<double> const&, CrossEntropyArgs const&);
template LossReference<float> cross_entropy_reference(std::vector<float> const&, CrossEntropyArgs const&);
template LossReference<double> soft_cross_entropy_reference(std::vector<double> const&, RowLossArgs const&);
template LossReference<float> soft_cross_entropy_reference(std::vector<float> const&, RowLossArgs const&);
template LossReference<double> squared_error_reference(std::vector<double> const&, RowLossArgs const&);
template LossReference<float> squared_error_reference(std::vector<float> const&, RowLossArgs const&);

} // namespace strandwave
