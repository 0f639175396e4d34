#include "lib/model/nearest_neighbours.h"

#include "kernels/gemm/gemm.h"
#include "lib/core/buffer.h"
#include "lib/core/check.h"
#include "lib/core/error.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace strandwave {
namespace {

constexpr index_t kAskedAtOnce = 256;

std::vector<double> mean_of(View<float const, 2> features, std::span<index_t const> rows) {
    std::vector<double> mean(static_cast<std::size_t>(features.cols), 0.0);
    for (index_t const row : rows) {
        for (index_t k = 0; k < features.cols; ++k) {
            mean[static_cast<std::size_t>(k)] +=
                static_cast<double>(features(row, k)) / static_cast<double>(rows.size());
        }
    }
    return mean;
}

/// Rows minus the mean, of length 1 (or 0).
Buffer<float> directions(View<float const, 2> features, std::span<index_t const> rows,
                         std::vector<double> const& mean) {
    Buffer<float> result(static_cast<index_t>(rows.size()) * features.cols);
    float* to = result.data();
    for (index_t const row : rows) {
        double squares = 0;
        auto const at = [&](index_t k) {
            return static_cast<double>(features(row, k)) - mean[static_cast<std::size_t>(k)];
        };
        for (index_t k = 0; k < features.cols; ++k) {
            squares += at(k) * at(k);
        }
        double const scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
        for (index_t k = 0; k < features.cols; ++k) {
            *to++ = static_cast<float>(at(k) * scale);
        }
    }
    return result;
}

/// Of the labels of the nearest rows, nearest first.
std::int32_t majority(std::span<std::int32_t const> nearest) {
    auto const votes = [&](std::int32_t label) { return std::count(nearest.begin(), nearest.end(), label); };
    return *std::max_element(nearest.begin(), nearest.end(), [&](auto a, auto b) { return votes(a) < votes(b); });
}

} // namespace

std::vector<std::int32_t> nearest_neighbours(View<float const, 2> features, std::span<std::int32_t const> labels,
                                             std::span<index_t const> known, std::span<index_t const> asked,
                                             index_t neighbours) {
    check_extent("nearest_neighbours", "labels", static_cast<index_t>(labels.size()), features.rows);
    if (known.empty() || neighbours < 1) {
        throw Error(ErrorCode::invalid_argument, "nearest neighbours need a known row and a neighbour or more");
    }
    auto const mean = mean_of(features, known);
    auto const from = directions(features, known, mean);
    auto const count = static_cast<index_t>(known.size());
    auto const wanted = static_cast<std::size_t>(std::min(neighbours, count));
    std::vector<std::int32_t> answers;
    std::vector<std::size_t> order(known.size());
    std::vector<std::int32_t> nearest(wanted);
    for (std::size_t begin = 0; begin < asked.size(); begin += kAskedAtOnce) {
        auto const rows = asked.subspan(begin, std::min<std::size_t>(kAskedAtOnce, asked.size() - begin));
        auto const n = static_cast<index_t>(rows.size());
        auto const to = directions(features, rows, mean);
        Buffer<float> cosines(n * count);
        gemm({{to.data(), n, features.cols}, false, {from.data(), count, features.cols}, true, cosines.view(n, count)});
        for (index_t i = 0; i < n; ++i) {
            float const* cosine = cosines.data() + i * count;
            std::iota(order.begin(), order.end(), std::size_t{0});
            std::partial_sort(
                order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), order.end(),
                [&](std::size_t a, std::size_t b) { return cosine[a] != cosine[b] ? cosine[a] > cosine[b] : a < b; });
            std::transform(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(wanted), nearest.begin(),
                           [&](std::size_t place) { return labels[static_cast<std::size_t>(known[place])]; });
            answers.push_back(majority(nearest));
        }
    }
    return answers;
}

} // namespace strandwave
