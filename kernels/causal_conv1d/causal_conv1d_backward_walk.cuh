// What causal_conv1d_backward_cuda.cu is made of: where rows lie, and a thread's walk along time for the usual d_conv.
#pragma once

#include "kernels/causal_conv1d/causal_conv1d_backward_cuda.h"
#include "kernels/cuda/element.cuh"
#include "kernels/cuda/math.cuh"

namespace strandwave::conv_backward {

using Args = CausalConv1dBackwardCudaArgs;

/// d_conv of all published models: its taps, inputs and gradients stay in registers.
inline constexpr index_t kUsualConv = 4;
inline constexpr int kHistory = kUsualConv - 1;

/// Rows of a thread whose loads are under way at once. As many as the rows that a row's sums look at, so that they can
/// take turns in the same registers.
inline constexpr int kBatchRows = 4;

/// silu'(s) = p (1 + s (1 - p)) with p = 1 / (1 + exp(-s)).
__device__ inline float silu_slope(float s, float /*type of x*/) {
    float const p = 1.0F / (1.0F + expf(-s));
    return p * fmaf(s, 1.0F - p, 1.0F);
}

/// By the special function units, as the forward pass does it for bf16.
__device__ inline float silu_slope(float s, __nv_bfloat16 /*type of x*/) {
    float const p = device::reciprocal_fast(1.0F + device::exp2_fast(-device::kLog2E * s));
    return p * fmaf(s, 1.0F - p, 1.0F);
}

/// Where a block's first row lies in a matrix, and how far it is to the next row in time.
template <class T>
struct TimeLine {
    T* first;
    index_t step;
    __device__ TimeLine(DeviceMatrix const& matrix, RowBlock const& block, index_t channel)
        : first(static_cast<T*>(matrix.data) + block.begin * matrix.row_stride + channel),
          step(block.step * matrix.row_stride) {}
    __device__ T* at(index_t i) const { return first + i * step; }
};

template <int V>
__device__ void clear(float (&values)[V]) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
        values[v] = 0.0F;
    }
}

template <int V>
__device__ void add(float const (&more)[V], float (&to)[V]) {
#pragma unroll
    for (int v = 0; v < V; ++v) {
        to[v] += more[v];
    }
}

/// The input `i` rows of time behind the block's first row. Negative i: an earlier row of the segment or, before that,
/// of the state that the segment comes from.
template <class T, int V>
__device__ void load_input(Args const& a, RowBlock const& block, index_t i, index_t channel, float (&to)[V]) {
    index_t const row = block.offset + i;
    if (row >= 0) { return load(TimeLine<T const>(a.x, block, channel).at(i), to); }
    clear(to);
    if (block.initial < 0 || a.initial == nullptr) { return; }
    index_t const history = a.d_conv - 1;
    load(a.initial + (block.initial * history + history + row) * a.x.cols + channel, to);
}

/// Adds what was handed over the segment's end, of the last inputs' row `k`; nothing where `slot` is negative.
template <int V>
__device__ void add_final(Args const& a, index_t slot, index_t k, index_t channel, float (&to)[V]) {
    if (slot < 0 || k < 0 || a.d_final == nullptr) { return; }
    float more[V];
    load(a.d_final + (slot * (a.d_conv - 1) + k) * a.x.cols + channel, more);
    add(more, to);
}

/// A thread's walk along time over the blocks of V channels. dx lags behind by kHistory rows: a row's gradient needs
/// dL/ds of the rows that follow.
template <class T, int V, bool Accumulate>
class Walk {
public:
    __device__ Walk(Args const& a, index_t channel) : a_(a), channel_(channel) {
#pragma unroll
        for (int k = 0; k < kUsualConv; ++k) {
            load(a.weight + k * a.x.cols + channel, weight_[k]);
        }
        clear(bias_);
        if (a.bias != nullptr) { load(a.bias + channel, bias_); }
    }

    /// The blocks [first, end), a stretch of one segment after the other.
    __device__ void run(index_t first, index_t end) {
        for (index_t b = first; b < end;) {
            RowBlock const head = a_.blocks[b];
            index_t rows = head.count;
            index_t final = head.final;
            for (++b; b < end && a_.blocks[b].offset > 0; ++b) {
                rows += a_.blocks[b].count;
                final = a_.blocks[b].final;
            }
            index_t rows_left = 0; // of the segment, in the block behind the last one
            if (b == end && b < a_.block_count && a_.blocks[b].offset > 0) {
                rows_left = a_.blocks[b].count;
                final = a_.blocks[b].final;
            }
            walk(head, rows, rows_left, final);
        }
    }

    float weight_sums[kUsualConv][V] = {};
    float bias_sums[V] = {};

private:
    /// Rows whose loads are under way.
    struct Pending {
        Packed<T, V> x[kBatchRows];
        Packed<T, V> dy[kBatchRows];
        Packed<T, V> before[kBatchRows]; ///< dx of kHistory rows before
    };

    /// `final`: the slot that the segment's end is handed to, if it is no farther than the rows_left.
    __device__ void walk(RowBlock const& head, index_t rows, index_t rows_left, index_t final) {
        TimeLine<T const> x(a_.x, head, channel_);
        TimeLine<T const> dy(a_.dy, head, channel_);
        TimeLine<T> dx(a_.dx, head, channel_);
        dx.first = dx.at(-kHistory);
        Pending pending;
#pragma unroll
        for (int slot = 0; slot < kBatchRows; ++slot) {
            if (slot < rows) { fetch(pending, slot, x, dy, slot >= kHistory ? dx.at(slot) : nullptr); }
        }
#pragma unroll
        for (int k = 0; k < kHistory; ++k) {
            load_input<T>(a_, head, k - kHistory, channel_, inputs_[k]);
            clear(gradients_[k]);
        }
        index_t i = 0;
        walk_batch<true>(pending, i, rows, x, dy, dx);
        for (i = kBatchRows; i + 2 * kBatchRows <= rows; i += kBatchRows) {
            walk_batch<false>(pending, i, rows, x, dy, dx);
        }
        for (; i < rows; i += kBatchRows) {
            walk_batch<true>(pending, i, rows, x, dy, dx);
        }
        finish(rows, rows_left, final, x, dy, dx);
    }

    /// Loads one more row; of dx from `before`, if that is not null.
    __device__ void fetch(Pending& pending, int slot, TimeLine<T const>& x, TimeLine<T const>& dy, T const* before) {
        pending.x[slot] = load_packed<V>(x.first);
        pending.dy[slot] = load_packed<V>(dy.first);
        if (Accumulate && before != nullptr) { pending.before[slot] = load_packed<V>(before); }
        x.first += x.step;
        dy.first += dy.step;
    }

    /// kBatchRows rows from row `begin` on, while as many are under way. Checked: some of them, or of those to be
    /// loaded, may not exist.
    template <bool Checked>
    __device__ void walk_batch(Pending& pending, index_t begin, index_t rows, TimeLine<T const>& x,
                               TimeLine<T const>& dy, TimeLine<T>& dx) {
#pragma unroll
        for (int slot = 0; slot < kBatchRows; ++slot) {
            if (Checked && begin + slot >= rows) { return; }
            float input[V];
            float gradient[V];
            float result[V];
            unpack(pending.x[slot], input);
            unpack(pending.dy[slot], gradient);
            float before[V];
            bool const wanted = !Checked || begin + slot >= kHistory;
            if (Accumulate && wanted) { unpack(pending.before[slot], before); }
            if (!Checked || begin + slot + kBatchRows < rows) { fetch(pending, slot, x, dy, dx.at(kBatchRows)); }
            to_gradient_of_sum(input, gradient);
            add_parameter_gradients(input, gradient);
            gradient_of_input(gradient, result);
            if (Accumulate) { add(before, result); }
            if (wanted) { store(result, dx.first); }
            dx.first += dx.step;
            advance(input, gradient);
        }
    }

    /// dx of the last kHistory rows of a stretch. The rows behind it, where there are any, give their gradients but are
    /// handed out elsewhere.
    __device__ void finish(index_t rows, index_t rows_left, index_t final, TimeLine<T const> const& x,
                           TimeLine<T const> const& dy, TimeLine<T> const& dx) {
#pragma unroll
        for (int k = 0; k < kHistory; ++k) {
            float input[V];
            float gradient[V];
            clear(input);
            clear(gradient);
            if (k < rows_left) {
                load(x.at(k), input);
                load(dy.at(k), gradient);
                to_gradient_of_sum(input, gradient);
            }
            if (rows - kHistory + k >= 0) {
                float result[V];
                float before[V];
                gradient_of_input(gradient, result);
                if (Accumulate) {
                    load(dx.at(k), before);
                    add(before, result);
                }
                add_final(a_, final, k - rows_left, channel_, result);
                store(result, dx.at(k));
            }
            advance(input, gradient);
        }
    }

    /// From dy of a row to dL/ds.
    __device__ void to_gradient_of_sum(float const (&input)[V], float (&gradient)[V]) const {
#pragma unroll
        for (int v = 0; v < V; ++v) {
            float sum = bias_[v];
#pragma unroll
            for (int k = 0; k < kHistory; ++k) {
                sum = fmaf(weight_[k][v], inputs_[k][v], sum);
            }
            sum = fmaf(weight_[kHistory][v], input[v], sum);
            gradient[v] *= silu_slope(sum, T{});
        }
    }

    __device__ void add_parameter_gradients(float const (&input)[V], float const (&gradient)[V]) {
#pragma unroll
        for (int v = 0; v < V; ++v) {
#pragma unroll
            for (int k = 0; k < kHistory; ++k) {
                weight_sums[k][v] = fmaf(gradient[v], inputs_[k][v], weight_sums[k][v]);
            }
            weight_sums[kHistory][v] = fmaf(gradient[v], input[v], weight_sums[kHistory][v]);
            bias_sums[v] += gradient[v];
        }
    }

    /// Of the input kHistory rows before the one that `gradient` is of.
    __device__ void gradient_of_input(float const (&gradient)[V], float (&result)[V]) const {
#pragma unroll
        for (int v = 0; v < V; ++v) {
            float sum = weight_[0][v] * gradient[v];
#pragma unroll
            for (int k = 1; k < kUsualConv; ++k) {
                sum = fmaf(weight_[k][v], gradients_[kHistory - k][v], sum);
            }
            result[v] = sum;
        }
    }

    __device__ void advance(float const (&input)[V], float const (&gradient)[V]) {
#pragma unroll
        for (int v = 0; v < V; ++v) {
#pragma unroll
            for (int k = 0; k + 1 < kHistory; ++k) {
                inputs_[k][v] = inputs_[k + 1][v];
                gradients_[k][v] = gradients_[k + 1][v];
            }
            inputs_[kHistory - 1][v] = input[v];
            gradients_[kHistory - 1][v] = gradient[v];
        }
    }

    Args const& a_;
    index_t channel_;
    float weight_[kUsualConv][V];
    float bias_[V];
    float inputs_[kHistory][V];    ///< x of the rows before, oldest first
    float gradients_[kHistory][V]; ///< dL/ds of the same rows
};

} // namespace strandwave::conv_backward
