#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/cross_entropy/loss_team.cuh"
#include "kernels/cuda/math.cuh"
#include "lib/core/check.h"

namespace strandwave {
namespace {

using device::Merge;
using device::Plus;
using device::RowStats;

/// One row of y, of its targets, and of dy (null: not wanted).
template <class Y>
struct Row {
    float const* y;
    float const* targets;
    Y* dy;
    int cols;
    float scale;
};

struct SoftCrossEntropy {
    template <class T, class Y>
    __device__ static void add(Row<Y> const& row, LossSums& sums) {
        RowStats values;
        RowStats weights; // of which the place is used
        float weight = 0.0F;
        for (int k = T::rank(); k < row.cols; k += T::kSize) {
            values.take(row.y[k], k);
            weights.take(row.targets[k], k);
            weight += row.targets[k];
        }
        values = T::all(values, Merge{});
        weights = T::all(weights, Merge{});
        weight = T::all(weight, Plus{});
        double loss = 0;
        float const factor = __fdiv_rn(weight, values.sum);
        for (int k = T::rank(); k < row.cols; k += T::kSize) {
            float const t = row.targets[k];
            float const y = row.y[k];
            double const behind = static_cast<double>(values.largest) - static_cast<double>(y);
            if (t != 0.0F) { loss += static_cast<double>(t) * behind; }
            if (row.dy == nullptr) { continue; }
            float const gradient = weight == 0.0F ? 0.0F : row.scale * (expf(y - values.largest) * factor - t);
            row.dy[k] = device::from_float<Y>(gradient);
        }
        loss = T::all(loss, Plus{});
        if (weight == 0.0F) { return; }
        sums.loss += loss + static_cast<double>(weight) * log(static_cast<double>(values.sum));
        sums.correct += values.place == weights.place ? 1.0 : 0.0;
        sums.count += 1.0;
    }
};

struct SquaredError {
    template <class T, class Y>
    __device__ static void add(Row<Y> const& row, LossSums& sums) {
        double loss = 0;
        for (int k = T::rank(); k < row.cols; k += T::kSize) {
            float const difference = row.y[k] - row.targets[k];
            loss += 0.5 * static_cast<double>(difference) * static_cast<double>(difference);
            if (row.dy != nullptr) { row.dy[k] = device::from_float<Y>(row.scale * difference); }
        }
        sums.loss += T::all(loss, Plus{});
        sums.count += 1.0;
    }
};

/// Loops are over rows, the same ones for all threads of a team.
template <class T, class Y, class Loss>
__global__ void __launch_bounds__(kThreads) loss_rows(RowLossCudaArgs const a, LossSums* blocks) {
    LossSums sums;
    float const scale = a.scale == nullptr ? 1.0F : *a.scale;
    index_t const step = static_cast<index_t>(gridDim.x) * T::kTeams;
    for (index_t row = static_cast<index_t>(blockIdx.x) * T::kTeams + T::index(); row < a.y.rows; row += step) {
        Y* dy = a.dy.data == nullptr ? nullptr : static_cast<Y*>(a.dy.data) + row * a.dy.row_stride;
        Loss::template add<T>(Row<Y>{static_cast<float const*>(a.y.data) + row * a.y.row_stride,
                                     static_cast<float const*>(a.targets.data) + row * a.targets.row_stride, dy,
                                     static_cast<int>(a.y.cols), scale},
                              sums);
    }
    device::write_block_sums<T>(sums, blocks);
}

template <class Loss>
void run(char const* op, RowLossCudaArgs const& a, GpuStream stream) {
    check_loss_logits(op, a.y);
    check_loss_logits(op, a.targets);
    check_extent(op, "rows of targets", a.targets.rows, a.y.rows);
    check_extent(op, "columns of targets", a.targets.cols, a.y.cols);
    if (a.dy.data != nullptr) {
        check_extent(op, "rows of dy", a.dy.rows, a.y.rows);
        check_extent(op, "columns of dy", a.dy.cols, a.y.cols);
    }
    auto* blocks = reinterpret_cast<LossSums*>(a.scratch);
    if (a.y.rows == 0) { return add_loss_blocks(blocks, 0, a.sums, stream); }
    device::with_team(a.y.rows, a.y.cols, [&](auto team, unsigned count) {
        with_element(op, a.dy.dtype, [&](auto zero) {
            loss_rows<decltype(team), decltype(zero), Loss><<<count, kThreads, 0, stream>>>(a, blocks);
        });
        check_launch(op);
        add_loss_blocks(blocks, count, a.sums, stream);
    });
}

} // namespace

void soft_cross_entropy_cuda(RowLossCudaArgs const& args, GpuStream stream) {
    run<SoftCrossEntropy>("soft_cross_entropy", args, stream);
}

void squared_error_cuda(RowLossCudaArgs const& args, GpuStream stream) {
    run<SquaredError>("squared_error", args, stream);
}

} // namespace strandwave
