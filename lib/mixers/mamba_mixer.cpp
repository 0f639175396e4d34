#include "lib/mixers/mamba_mixer.h"

#include "kernels/norm/norm.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace strandwave {
namespace {

/// A tensor as fp32, its shape folded to two dimensions [first, rest].
struct Matrix {
    explicit Matrix(StoredTensor const* tensor) {
        if (tensor == nullptr) { return; }
        rows = tensor->shape.front();
        cols = rows == 0 ? 0 : tensor->elements() / rows;
        values = Buffer<float>(tensor->elements());
        read_f32(*tensor, values.data());
    }

    View<float const, 2> view() const { return values.view(rows, cols); }
    View<float const, 1> vector() const { return values.view(); }

    index_t rows = 0;
    index_t cols = 0;
    Buffer<float> values;
};

void flip_columns(Matrix& m) {
    for (index_t r = 0; r < m.rows; ++r) {
        float* row = m.values.data() + r * m.cols;
        std::reverse(row, row + m.cols);
    }
}

void flip_rows(Matrix& m) {
    for (index_t r = 0; r < m.rows / 2; ++r) {
        float* row = m.values.data() + r * m.cols;
        std::swap_ranges(row, row + m.cols, m.values.data() + (m.rows - 1 - r) * m.cols);
    }
}

Linear make_linear(Matrix const& weight, Matrix const& bias, DType dtype) {
    return {weight.view(), bias.vector(), dtype};
}

/// [cols, rows] of [rows, cols].
Buffer<float> transposed(Matrix const& m) {
    Buffer<float> result(m.rows * m.cols);
    for (index_t r = 0; r < m.rows; ++r) {
        for (index_t c = 0; c < m.cols; ++c) {
            result[c * m.rows + r] = m.values[r * m.cols + c];
        }
    }
    return result;
}

} // namespace

MambaProjections::MambaProjections(MixerTensors const& tensors, DType dtype, bool flip_channels, int sharers) {
    Matrix in_weight(tensors.in_proj_weight);
    Matrix out_weight(tensors.out_proj_weight);
    Matrix out_bias(tensors.out_proj_bias);
    if (flip_channels) {
        flip_columns(in_weight);
        flip_rows(out_weight);
        std::reverse(out_bias.values.begin(), out_bias.values.end());
    }
    for (float& b : out_bias.values) {
        b *= static_cast<float>(sharers);
    }
    in = make_linear(in_weight, Matrix(tensors.in_proj_bias), dtype);
    out = make_linear(out_weight, out_bias, dtype);
}

MambaScratch::MambaScratch(ModelConfig const& config, index_t rows)
    : dbc(rows * (config.dt_rank + 2 * config.d_state)), dt(rows * config.dt_rank), delta(rows * config.d_inner) {}

MambaMixer::MambaMixer(ModelConfig const& config, MixerTensors const& tensors,
                       std::shared_ptr<MambaProjections const> projections, DType dtype)
    : d_inner_(config.d_inner), d_state_(config.d_state), dt_rank_(config.dt_rank),
      rms_epsilon_(config.mixer_rms_epsilon), projections_(std::move(projections)),
      conv_weight_(transposed(Matrix(tensors.conv1d_weight))), conv_bias_(Matrix(tensors.conv1d_bias).values),
      x_proj_(make_linear(Matrix(tensors.x_proj_weight), Matrix(nullptr), dtype)),
      // The K of dt_proj is tiny and dt enters an exponential: always fp32.
      dt_proj_(make_linear(Matrix(tensors.dt_proj_weight), Matrix(nullptr), DType::f32)),
      dt_bias_(Matrix(tensors.dt_proj_bias).values), A_(transposed(Matrix(tensors.A_log))),
      D_(Matrix(tensors.D).values), d_conv_(config.d_conv) {
    for (float& a : A_) {
        a = static_cast<float>(-std::exp(static_cast<double>(a)));
    }
}

void MambaMixer::project_dt_B_C(View<float const, 2> u, MambaScratch& scratch) const {
    auto const dbc = scratch.dbc.view(u.rows, dt_rank_ + 2 * d_state_);
    auto const dt = scratch.dt.view(u.rows, dt_rank_);
    x_proj_.apply(u, dbc);
    if (rms_epsilon_) {
        auto const normalise = [&](View<float, 2> from, View<float, 2> to) {
            rms_norm({.x = from, .weight = {}, .bias = {}, .epsilon = *rms_epsilon_, .y = to});
        };
        auto const B = dbc.cols_from(dt_rank_, d_state_);
        auto const C = dbc.cols_from(dt_rank_ + d_state_, d_state_);
        normalise(dbc.cols_from(0, dt_rank_), dt);
        normalise(B, B);
        normalise(C, C);
    } else {
        for (index_t t = 0; t < u.rows; ++t) {
            std::copy_n(dbc.row(t), dt_rank_, dt.row(t));
        }
    }
    dt_proj_.apply(dt, scratch.delta.view(u.rows, d_inner_));
}

void MambaMixer::scan(View<float const, 2> xz, MambaSegments const& segments, bool reverse, MambaScratch& scratch,
                      View<float, 2> y) const {
    index_t const rows = xz.rows;
    // u lies in y until the scan, row by row, puts y there.
    causal_conv1d({.x = xz.cols_from(0, d_inner_),
                   .weight = conv_weight_.view(d_conv_, d_inner_),
                   .bias = conv_bias_.view(),
                   .segments = segments.conv,
                   .reverse = reverse,
                   .y = y});
    project_dt_B_C(y, scratch);
    View<float const, 2> const dbc = scratch.dbc.view(rows, dt_rank_ + 2 * d_state_);
    selective_scan({.u = y,
                    .delta = scratch.delta.view(rows, d_inner_),
                    .A = A_.view(d_state_, d_inner_),
                    .B = dbc.cols_from(dt_rank_, d_state_),
                    .C = dbc.cols_from(dt_rank_ + d_state_, d_state_),
                    .D = D_.view(),
                    .delta_bias = dt_bias_.view(),
                    .z = xz.cols_from(d_inner_, d_inner_),
                    .segments = segments.scan,
                    .reverse = reverse,
                    .y = y});
}

} // namespace strandwave
