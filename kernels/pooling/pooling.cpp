#include "kernels/pooling/pooling.h"

#include "lib/core/error.h"

#include <algorithm>
#include <string>

namespace strandwave {
namespace {

void check_width(index_t width, View<double const, 1> state) {
    if (width != state.size) {
        throw Error(ErrorCode::shape_mismatch,
                    "pooling: state has " + std::to_string(state.size) + " channels, x has " + std::to_string(width));
    }
}

void copy_row(float const* row, View<double, 1> state) { std::copy(row, row + state.size, state.data); }

} // namespace

void pool_accumulate(Pooling pooling, View<float const, 2> x, index_t seen, View<double, 1> state) {
    check_width(x.cols, state);
    if (x.rows == 0) { return; }
    switch (pooling) {
    case Pooling::first:
        if (seen == 0) { copy_row(x.row(0), state); }
        return;
    case Pooling::last: copy_row(x.row(x.rows - 1), state); return;
    case Pooling::mean:
        if (seen == 0) { std::fill_n(state.data, state.size, 0.0); }
        for (index_t t = 0; t < x.rows; ++t) {
            float const* row = x.row(t);
            for (index_t c = 0; c < state.size; ++c) {
                state(c) += static_cast<double>(row[c]);
            }
        }
        return;
    case Pooling::max:
        if (seen == 0) { copy_row(x.row(0), state); }
        for (index_t t = 0; t < x.rows; ++t) {
            float const* row = x.row(t);
            for (index_t c = 0; c < state.size; ++c) {
                state(c) = std::max(state(c), static_cast<double>(row[c]));
            }
        }
        return;
    }
}

void pool_finish(Pooling pooling, View<double const, 1> state, index_t length, View<float, 1> pooled) {
    check_width(pooled.size, state);
    if (length == 0) {
        std::fill_n(pooled.data, pooled.size, 0.0F);
        return;
    }
    double const divisor = pooling == Pooling::mean ? static_cast<double>(length) : 1.0;
    for (index_t c = 0; c < pooled.size; ++c) {
        pooled(c) = static_cast<float>(state(c) / divisor);
    }
}

} // namespace strandwave
