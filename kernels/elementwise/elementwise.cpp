#include "kernels/elementwise/elementwise.h"

#include "kernels/elementwise/dropout_hash.h"
#include "lib/core/check.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace strandwave {
namespace {

void check_probability(float probability) {
    if (probability >= 0.0F && probability < 1.0F) { return; }
    throw Error(ErrorCode::invalid_argument,
                "dropout: probability " + std::to_string(probability) + " is not in [0, 1)");
}

} // namespace

void add(View<float const, 2> x, View<float, 2> y) {
    check_matrix("add", "y", y, x.rows, x.cols);
    for (index_t r = 0; r < x.rows; ++r) {
        float const* from = x.row(r);
        float* to = y.row(r);
        for (index_t c = 0; c < x.cols; ++c) {
            to[c] += from[c];
        }
    }
}

void copy(View<float const, 2> x, View<float, 2> y) {
    check_matrix("copy", "y", y, x.rows, x.cols);
    for (index_t r = 0; r < x.rows; ++r) {
        std::copy_n(x.row(r), x.cols, y.row(r));
    }
}

void column_sum(View<float const, 2> x, View<float, 1> sums) {
    check_extent("column_sum", "sums", sums.size, x.cols);
    std::vector<double> total(static_cast<std::size_t>(x.cols));
    for (index_t r = 0; r < x.rows; ++r) {
        float const* row = x.row(r);
        for (std::size_t c = 0; c < total.size(); ++c) {
            total[c] += static_cast<double>(row[c]);
        }
    }
    for (index_t c = 0; c < x.cols; ++c) {
        sums(c) += static_cast<float>(total[static_cast<std::size_t>(c)]);
    }
}

void negative_exp(View<float const, 2> a_log, View<float, 2> a) {
    check_matrix("negative_exp", "A", a, a_log.cols, a_log.rows);
    for (index_t n = 0; n < a.rows; ++n) {
        for (index_t e = 0; e < a.cols; ++e) {
            a(n, e) = static_cast<float>(-std::exp(static_cast<double>(a_log(e, n))));
        }
    }
}

void negative_exp_backward(View<float const, 2> a, View<float const, 2> da, View<float, 2> da_log) {
    check_matrix("negative_exp_backward", "dA", da, a.rows, a.cols);
    check_matrix("negative_exp_backward", "dA_log", da_log, a.cols, a.rows);
    for (index_t n = 0; n < a.rows; ++n) {
        for (index_t e = 0; e < a.cols; ++e) {
            da_log(e, n) += da(n, e) * a(n, e);
        }
    }
}

void dropout(DropoutArgs const& args) {
    check_matrix("dropout", "y", args.y, args.x.rows, args.x.cols);
    check_probability(args.probability);
    DropoutHash const hash(*args.seed, args.site);
    std::uint32_t const threshold = dropout_threshold(args.probability);
    float const factor = 1.0F / (1.0F - args.probability);
    for (index_t r = 0; r < args.x.rows; ++r) {
        std::uint64_t const key = hash.row_key(args.first_row + r);
        for (index_t c = 0; c < args.x.cols; ++c) {
            args.y(r, c) = DropoutHash::bits(key, c) >= threshold ? args.x(r, c) * factor : 0.0F;
        }
    }
}

} // namespace strandwave
