#include "kernels/cross_entropy/cross_entropy.h"

#include "lib/core/check.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace strandwave {
namespace {

[[noreturn]] void refuse(index_t row, std::string const& what) {
    throw Error(ErrorCode::invalid_argument, "cross_entropy: row " + std::to_string(row) + " " + what);
}

void check_complement(CrossEntropyArgs const& a) {
    check_extent("cross_entropy", "complement", static_cast<index_t>(a.complement.size()), a.logits.cols);
    std::vector<char> seen(a.complement.size(), 0);
    for (index_t const other : a.complement) {
        if (other < 0 || other >= a.logits.cols || seen[static_cast<std::size_t>(other)] != 0) {
            throw Error(ErrorCode::invalid_argument, "cross_entropy: the complement is not a permutation of classes");
        }
        seen[static_cast<std::size_t>(other)] = 1;
    }
}

/// Row of the other strand, or -1.
index_t mate_of(CrossEntropyArgs const& a, index_t row) {
    return a.mates.empty() ? -1 : a.mates[static_cast<std::size_t>(row)];
}

index_t target_of(CrossEntropyArgs const& a, index_t row) { return a.targets[static_cast<std::size_t>(row)]; }

void check_row(CrossEntropyArgs const& a, index_t row) {
    index_t const target = target_of(a, row);
    if (target >= a.logits.cols) {
        refuse(row, "has target " + std::to_string(target) + " of " + std::to_string(a.logits.cols) + " classes");
    }
    index_t const mate = mate_of(a, row);
    if (mate < 0) { return; }
    if (mate >= a.logits.rows || mate == row || mate_of(a, mate) != row) {
        refuse(row, "has mate " + std::to_string(mate) + ", which is not its own");
    }
    if (target >= 0 && target_of(a, mate) >= 0) { refuse(row, "and its mate have a target each"); }
}

void check_classes(char const* op, View<float const, 2> y) {
    if (y.rows > 0 && y.cols < 1) {
        throw Error(ErrorCode::shape_mismatch, std::string(op) + ": there are no classes");
    }
}

void check_shapes(CrossEntropyArgs const& a) {
    check_classes("cross_entropy", a.logits);
    check_extent("cross_entropy", "targets", static_cast<index_t>(a.targets.size()), a.logits.rows);
    if (a.dlogits.data != nullptr) {
        check_matrix("cross_entropy", "dlogits", a.dlogits, a.logits.rows, a.logits.cols);
    }
    if (!a.mates.empty()) {
        check_extent("cross_entropy", "mates", static_cast<index_t>(a.mates.size()), a.logits.rows);
        check_complement(a);
    }
    for (index_t row = 0; row < a.logits.rows; ++row) {
        check_row(a, row);
    }
}

/// One row's logits; `values` has room for them.
void read_logits(CrossEntropyArgs const& a, index_t row, index_t mate, std::vector<float>& values) {
    float const* own = a.logits.row(row);
    if (mate < 0) {
        std::copy_n(own, a.logits.cols, values.data());
        return;
    }
    float const* other = a.logits.row(mate);
    for (std::size_t v = 0; v < values.size(); ++v) {
        values[v] = own[v] + other[a.complement[v]];
    }
}

/// Replaces values by exp(value - largest) and returns their sum.
double exponentials(float largest, std::vector<float>& values) {
    double sum = 0;
    for (auto& value : values) {
        value = std::exp(value - largest);
        sum += static_cast<double>(value);
    }
    return sum;
}

index_t place_of_largest(float const* values, index_t count) {
    return std::max_element(values, values + count) - values;
}

void write_gradient(CrossEntropyArgs const& a, index_t row, index_t mate, double sum,
                    std::vector<float> const& values) {
    auto const factor = static_cast<float>(1.0 / sum);
    index_t const target = target_of(a, row);
    for (index_t v = 0; v < a.logits.cols; ++v) {
        float const p = values[static_cast<std::size_t>(v)] * factor;
        float const gradient = a.scale * (v == target ? p - 1.0F : p);
        a.dlogits(row, v) = gradient;
        if (mate >= 0) { a.dlogits(mate, a.complement[static_cast<std::size_t>(v)]) = gradient; }
    }
}

/// Of a row that does not count, unless it gets a gradient from its mate.
void clear_gradient(CrossEntropyArgs const& a, index_t row, index_t mate) {
    if (a.dlogits.empty() || (mate >= 0 && target_of(a, mate) >= 0)) { return; }
    std::fill_n(a.dlogits.row(row), a.dlogits.cols, 0.0F);
}

void check_row_losses(char const* op, RowLossArgs const& a) {
    check_classes(op, a.y);
    check_matrix(op, "targets", a.targets, a.y.rows, a.y.cols);
    if (a.dy.data != nullptr) { check_matrix(op, "dy", a.dy, a.y.rows, a.y.cols); }
}

} // namespace

LossSums cross_entropy(CrossEntropyArgs const& a) {
    check_shapes(a);
    LossSums sums;
    std::vector<float> values(static_cast<std::size_t>(a.logits.cols));
    for (index_t row = 0; row < a.logits.rows; ++row) {
        index_t const target = target_of(a, row);
        index_t const mate = mate_of(a, row);
        if (target < 0) {
            clear_gradient(a, row, mate);
            continue;
        }
        read_logits(a, row, mate, values);
        index_t const best = place_of_largest(values.data(), a.logits.cols);
        float const largest = values[static_cast<std::size_t>(best)];
        auto const behind =
            static_cast<double>(largest) - static_cast<double>(values[static_cast<std::size_t>(target)]);
        double const sum = exponentials(largest, values);
        sums.loss += std::log(sum) + behind;
        sums.correct += best == target ? 1.0 : 0.0;
        sums.count += 1.0;
        if (!a.dlogits.empty()) { write_gradient(a, row, mate, sum, values); }
    }
    return sums;
}

LossSums soft_cross_entropy(RowLossArgs const& a) {
    check_row_losses("soft_cross_entropy", a);
    LossSums sums;
    std::vector<float> values(static_cast<std::size_t>(a.y.cols));
    for (index_t row = 0; row < a.y.rows; ++row) {
        float const* t = a.targets.row(row);
        std::copy_n(a.y.row(row), a.y.cols, values.data());
        index_t const best = place_of_largest(values.data(), a.y.cols);
        float const largest = values[static_cast<std::size_t>(best)];
        double weight = 0;
        double loss = 0;
        for (index_t k = 0; k < a.y.cols; ++k) {
            double const behind = static_cast<double>(largest) - static_cast<double>(a.y(row, k));
            weight += static_cast<double>(t[k]);
            if (t[k] != 0.0F) { loss += static_cast<double>(t[k]) * behind; }
        }
        double const sum = exponentials(largest, values);
        if (weight != 0.0) {
            sums.loss += loss + weight * std::log(sum);
            sums.correct += place_of_largest(t, a.y.cols) == best ? 1.0 : 0.0;
            sums.count += 1.0;
        }
        auto const factor = static_cast<float>(weight / sum);
        for (index_t k = 0; k < a.dy.cols; ++k) {
            a.dy(row, k) = weight == 0.0 ? 0.0F : a.scale * (values[static_cast<std::size_t>(k)] * factor - t[k]);
        }
    }
    return sums;
}

LossSums squared_error(RowLossArgs const& a) {
    check_row_losses("squared_error", a);
    LossSums sums;
    for (index_t row = 0; row < a.y.rows; ++row) {
        for (index_t k = 0; k < a.y.cols; ++k) {
            float const difference = a.y(row, k) - a.targets(row, k);
            sums.loss += 0.5 * static_cast<double>(difference) * static_cast<double>(difference);
            if (!a.dy.empty()) { a.dy(row, k) = a.scale * difference; }
        }
    }
    sums.count = static_cast<double>(a.y.rows);
    return sums;
}

} // namespace strandwave
