#include "lib/mixers/mamba_mixer.h"

#include "kernels/norm/norm.h"

#include <algorithm>
#include <utility>

namespace strandwave {
namespace {

Linear make_linear(HostMatrix const& weight, HostMatrix const& bias, DType dtype) {
    return {weight.view(), bias.vector(), dtype};
}

} // namespace

MambaProjections::MambaProjections(ProjectionWeights const& weights, DType dtype)
    : in(make_linear(weights.in, weights.in_bias, dtype)), out(make_linear(weights.out, weights.out_bias, dtype)) {}

MambaScratch::MambaScratch(ModelConfig const& config, index_t rows)
    : dbc(rows * (config.dt_rank + 2 * config.d_state)), dt(rows * config.dt_rank), delta(rows * config.d_inner) {}

MambaMixer::MambaMixer(ModelConfig const& config, MambaWeights weights,
                       std::shared_ptr<MambaProjections const> projections, DType dtype)
    : d_inner_(config.d_inner), d_state_(config.d_state), dt_rank_(config.dt_rank),
      rms_epsilon_(config.mixer_rms_epsilon), projections_(std::move(projections)),
      conv_weight_(std::move(weights.conv_weight)), conv_bias_(std::move(weights.conv_bias.values)),
      x_proj_(make_linear(weights.x_proj, {}, dtype)),
      // The K of dt_proj is tiny and dt enters an exponential: always fp32.
      dt_proj_(make_linear(weights.dt_proj, {}, DType::f32)), dt_bias_(std::move(weights.dt_bias.values)),
      A_(std::move(weights.A)), D_(std::move(weights.D.values)), d_conv_(config.d_conv) {}

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
