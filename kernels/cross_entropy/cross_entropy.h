#pragma once

#include "lib/core/view.h"

#include <cstdint>
#include <span>

namespace strandwave {

/// What a loss says of the rows of a call.
struct LossSums {
    double loss = 0;    ///< sum of the rows' losses, not scaled; nats for cross entropies
    double correct = 0; ///< rows whose largest value (the first of equal ones) is where it should be
    double count = 0;   ///< rows that count

    LossSums& operator+=(LossSums const& more) noexcept {
        loss += more.loss;
        correct += more.correct;
        count += more.count;
        return *this;
    }
};

/// Cross entropy with one right class a row, as in language models, and its gradient. With l the logits of a row:
///   loss_t = log(sum_v exp(l[v])) - l[target]        dlogits[t,v] = scale * (exp(l[v]) / sum_w exp(l[w]) - (v ==
///   target))
/// Rows with a negative target do not count; their gradient is 0.
/// Strands (`mates` not empty): a base read on both strands has a row on each, and its logits are those of the one plus
/// those of the other for the complement (Schiff et al. 2024, arXiv:2403.03234, section 3.2):
///   l[v] = logits[t, v] + logits[mates[t], complement[v]]
/// mates[t] is the row of the other strand at the same base, mates[mates[t]] == t, or -1: none, then l is the row
/// alone. The target stands at one of the two rows; the other has a negative one and gets its gradient from there.
/// Shapes: T rows, V classes, V >= 1; `complement` is a permutation of 0..V-1.
/// Precision: sums of a row in double, sums over rows in double. Determinism: the same bits every run.
/// Aliasing: dlogits may be logits. Throws: shape_mismatch; invalid_argument (a target or mate out of range, two
/// targets at one base).
struct CrossEntropyArgs {
    View<float const, 2> logits;              ///< [T, V]
    std::span<std::int32_t const> targets;    ///< [T]
    std::span<std::int32_t const> mates;      ///< [T]; empty = none
    std::span<std::int32_t const> complement; ///< [V]; with mates
    float scale = 1.0F;
    View<float, 2> dlogits; ///< [T, V]; empty: not wanted (evaluation)
};

LossSums cross_entropy(CrossEntropyArgs const& args);

/// Losses of a row against another row, for the two functions below. Shapes `[n, K]`, K >= 1. Precision, determinism
/// and throws as above. Aliasing: dy may be y.
struct RowLossArgs {
    View<float const, 2> y;       ///< [n, K] the model's
    View<float const, 2> targets; ///< [n, K]
    float scale = 1.0F;
    View<float, 2> dy; ///< [n, K]; empty: not wanted
};

/// Cross entropy with weights >= 0 for classes (one-hot, smoothed, several labels), p = softmax(y[i]):
///   loss_i = -sum_k t[i,k] log p[k]        dy[i,k] = scale * (p[k] * sum_j t[i,j] - t[i,k])
/// Correct: the largest of y is at the largest of t. A row of zeros in t does not count; its gradient is 0.
LossSums soft_cross_entropy(RowLossArgs const& args);

/// loss_i = 0.5 sum_k (y[i,k] - t[i,k])^2        dy[i,k] = scale * (y[i,k] - t[i,k])
/// Every row counts; none is correct.
LossSums squared_error(RowLossArgs const& args);

} // namespace strandwave
