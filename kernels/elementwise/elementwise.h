#pragma once

#include "lib/core/view.h"

#include <cstdint>

namespace strandwave {

/// Small ops of training. Matrices have any row stride; precision is fp32 unless said otherwise; the same bits every
/// run. All throw shape_mismatch.

/// y += x. Aliasing: y may be x.
void add(View<float const, 2> x, View<float, 2> y);

/// y = x.
void copy(View<float const, 2> x, View<float, 2> y);

/// sums[c] += sum over rows of x[., c], summed in double: the gradient of a bias.
void column_sum(View<float const, 2> x, View<float, 1> sums);

/// A `[N, E]` = -exp(A_log^T) of A_log `[E, N]` (Gu & Dao 2023): the published layout to that of selective_scan.h. The
/// exponential is that of double, rounded.
void negative_exp(View<float const, 2> a_log, View<float, 2> a);

/// Its gradient: dA_log `[E, N]` += (dA * A)^T of dA and A `[N, E]`.
void negative_exp_backward(View<float const, 2> a, View<float const, 2> da, View<float, 2> da_log);

/// Dropout (Srivastava et al. 2014, inverted): y = x / (1 - probability) where an element is kept, else 0. Whether it
/// is kept is a hash of (*seed, site, first_row + row, column) (dropout_hash.h): nothing is stored, the backward
/// pass makes the same call on gradients, and CPU and GPU drop the same. probability in [0, 1); 0 copies. Aliasing: y
/// may be x. Throws: shape_mismatch, invalid_argument (probability).
struct DropoutArgs {
    View<float const, 2> x;
    View<float, 2> y;
    float probability = 0;
    std::uint64_t const* seed = nullptr; ///< of the step; read when the op runs
    std::uint64_t site = 0;              ///< which dropout of the model
    index_t first_row = 0;               ///< of x in the batch: shards of a batch drop what the whole would
};

void dropout(DropoutArgs const& args);

} // namespace strandwave
