#include "lib/train/train_layer.h"

namespace strandwave {

LayerActivations::LayerActivations(ModelConfig const& c, LayerParameters const& layer, DType type, index_t rows,
                                   index_t states, MatrixStore& store)
    : normed(store.matrix(type, rows, c.d_model)) {
    index_t const dbc_cols = c.dt_rank + 2 * c.d_state;
    for (auto const& branch : layer.branches) {
        auto& b = branches.emplace_back();
        b.xz = store.matrix(type, rows, 2 * c.d_inner);
        for (std::size_t i = 0; i < branch.mixers.size(); ++i) {
            Mixer m;
            m.u = store.matrix(type, rows, c.d_inner);
            m.dbc = store.matrix(type, rows, dbc_cols);
            m.dbc_n = c.mixer_rms_epsilon ? store.matrix(type, rows, dbc_cols) : m.dbc;
            m.delta = store.matrix(type, rows, c.d_inner);
            m.states = states > 0 ? store.array<float>(states) : nullptr;
            b.mixers.push_back(m);
        }
    }
}

LayerScratch::LayerScratch(ModelConfig const& c, DType type, index_t rows, TrainOps& ops, MatrixStore& store) {
    for (auto* m : {&y, &dy, &du, &ddelta}) {
        *m = store.matrix(type, rows, c.d_inner);
    }
    dxz = store.matrix(type, rows, 2 * c.d_inner);
    index_t const dbc_cols = c.dt_rank + 2 * c.d_state;
    ddbc = store.matrix(type, rows, dbc_cols);
    ddbc_n = c.mixer_rms_epsilon ? store.matrix(type, rows, dbc_cols) : ddbc;
    dout = store.matrix(type, rows, c.d_model);
    dnormed = store.matrix(type, rows, c.d_model);
    ones = store.matrix(type, rows, 1);
    std::vector<float> const host(static_cast<std::size_t>(rows), 1.0F);
    Matrix const staged = store.matrix(DType::f32, rows, 1);
    ops.upload(staged.data, host.data(), rows * dtype_bytes(DType::f32));
    ops.copy(staged, ones);
}

struct TrainLayer::Pass {
    LayerActivations const& kept;
    LayerScratch& s;
    LayerRun const& run;
    index_t rows;
    Matrix first(Matrix m) const { return m.rows_from(0, rows); }
};

TrainLayer::TrainLayer(DeviceParameters const& parameters, LayerParameters const& layer, TrainOps& ops,
                       MatrixStore& store)
    : p_(parameters), layer_(layer), config_(parameters.model->config),
      ops_(ops), norm_{p_.value(layer.norm_weight), p_.value(layer.norm_bias), config_.norm_epsilon,
                       config_.norm == NormKind::layer_norm} {
    for (auto const& branch : layer.branches) {
        auto& list = A_.emplace_back();
        for (std::size_t i = 0; i < branch.mixers.size(); ++i) {
            list.push_back({store.matrix(DType::f32, config_.d_state, config_.d_inner),
                            store.matrix(DType::f32, config_.d_state, config_.d_inner)});
        }
    }
}

void TrainLayer::refresh() {
    for (std::size_t b = 0; b < A_.size(); ++b) {
        for (std::size_t m = 0; m < A_[b].size(); ++m) {
            auto const& [A, dA] = A_[b][m];
            ops_.negative_exp(p_.value_matrix(layer_.branches[b].mixers[m].A_log), A);
            ops_.zero(dA.data, dA.rows * dA.cols * dtype_bytes(DType::f32));
        }
    }
}

void TrainLayer::finish_gradients() {
    for (std::size_t b = 0; b < A_.size(); ++b) {
        for (std::size_t m = 0; m < A_[b].size(); ++m) {
            auto const& [A, dA] = A_[b][m];
            ops_.negative_exp_backward(A, dA, p_.gradient_matrix(layer_.branches[b].mixers[m].A_log));
        }
    }
}

/// y += a row of biases, as a product of rank one.
void TrainLayer::add_bias(Matrix y, ParameterId bias, LayerScratch const& s) {
    if (bias == kNone) { return; }
    ops_.gemm(s.ones.rows_from(0, y.rows), false, p_.weight(bias), false, y, true);
}

void TrainLayer::forward(Matrix residual, Matrix out, LayerActivations const& kept, LayerScratch& s,
                         LayerRun const& run) {
    Pass const pass{kept, s, run, run.rows};
    Matrix const normed = pass.first(kept.normed);
    ops_.norm(norm_, residual, normed);
    if (run.dropout > 0) { ops_.dropout(normed, run.dropout, run.seed, run.site); }
    if (!out.empty()) { ops_.copy(residual, out); }
    for (std::size_t b = 0; b < layer_.branches.size(); ++b) {
        auto const& branch = layer_.branches[b];
        Matrix const xz = pass.first(kept.branches[b].xz);
        ops_.gemm(normed, false, p_.weight(branch.in_proj), true, xz, false);
        add_bias(xz, branch.in_bias, s);
        Matrix const y = pass.first(s.y);
        for (std::size_t m = 0; m < branch.mixers.size(); ++m) {
            scan(pass, b, m);
            if (!out.empty()) { ops_.scan(scan_call(pass, b, m), y, m > 0); }
        }
        if (out.empty()) { continue; }
        ops_.gemm(y, false, p_.weight(branch.out_proj), true, out, true);
        for (std::size_t m = 0; m < branch.mixers.size(); ++m) {
            add_bias(out, branch.out_bias, s);
        }
    }
}

/// All of a direction up to its scan.
void TrainLayer::scan(Pass const& pass, std::size_t branch, std::size_t mixer) {
    auto const& weights = layer_.branches[branch].mixers[mixer];
    auto const& m = pass.kept.branches[branch].mixers[mixer];
    Matrix const u = pass.first(m.u);
    ops_.conv(conv_call(pass, branch, mixer), u);
    ops_.gemm(u, false, p_.weight(weights.x_proj), true, pass.first(m.dbc), false);
    norm_dbc(m, pass.rows);
    ops_.project_dt(pass.first(m.dbc_n).cols_from(0, config_.dt_rank), p_.weight(weights.dt_proj),
                    p_.value(weights.dt_bias), pass.first(m.delta));
}

/// Falcon-Mamba: dt, B and C each pass a weightless RMS norm.
void TrainLayer::norm_dbc(LayerActivations::Mixer const& m, index_t rows) {
    if (!config_.mixer_rms_epsilon) { return; }
    NormCall const norm{nullptr, nullptr, *config_.mixer_rms_epsilon, false};
    index_t begin = 0;
    for (index_t const width : {config_.dt_rank, config_.d_state, config_.d_state}) {
        ops_.norm(norm, m.dbc.rows_from(0, rows).cols_from(begin, width),
                  m.dbc_n.rows_from(0, rows).cols_from(begin, width));
        begin += width;
    }
}

void TrainLayer::norm_dbc_backward(LayerActivations::Mixer const& m, LayerScratch& s, index_t rows) {
    if (!config_.mixer_rms_epsilon) { return; }
    NormCall const norm{nullptr, nullptr, *config_.mixer_rms_epsilon, false};
    index_t begin = 0;
    for (index_t const width : {config_.dt_rank, config_.d_state, config_.d_state}) {
        auto const part = [&](Matrix matrix) { return matrix.rows_from(0, rows).cols_from(begin, width); };
        ops_.norm_backward(norm, part(m.dbc), part(s.ddbc_n), part(s.ddbc), false, nullptr, nullptr);
        begin += width;
    }
}

ConvCall TrainLayer::conv_call(Pass const& pass, std::size_t branch, std::size_t mixer) const {
    auto const& weights = layer_.branches[branch].mixers[mixer];
    ConvCall call;
    call.x = pass.first(pass.kept.branches[branch].xz).cols_from(0, config_.d_inner);
    call.weight = p_.value(weights.conv_weight);
    call.bias = p_.value(weights.conv_bias);
    call.d_conv = config_.d_conv;
    call.reverse = weights.reverse;
    call.state = pass.run.state.conv;
    return call;
}

ScanCall TrainLayer::scan_call(Pass const& pass, std::size_t branch, std::size_t mixer) const {
    auto const& weights = layer_.branches[branch].mixers[mixer];
    auto const& m = pass.kept.branches[branch].mixers[mixer];
    Matrix const dbc = pass.first(m.dbc_n);
    ScanCall call;
    call.u = pass.first(m.u);
    call.delta = pass.first(m.delta);
    call.B = dbc.cols_from(config_.dt_rank, config_.d_state);
    call.C = dbc.cols_from(config_.dt_rank + config_.d_state, config_.d_state);
    call.z = pass.first(pass.kept.branches[branch].xz).cols_from(config_.d_inner, config_.d_inner);
    call.A = A_[branch][mixer].A.as<float>();
    call.D = p_.value(weights.D);
    call.delta_bias = p_.value(weights.dt_bias);
    call.d_state = config_.d_state;
    call.reverse = weights.reverse;
    call.state = pass.run.state.scan;
    call.kept_states = m.states;
    return call;
}

void TrainLayer::backward(Matrix residual, Matrix d_residual, LayerActivations const& kept, LayerScratch& s,
                          LayerRun const& run) {
    Pass const pass{kept, s, run, run.rows};
    Matrix const normed = pass.first(kept.normed);
    Matrix const dout = pass.first(s.dout);
    Matrix const dnormed = pass.first(s.dnormed);
    ops_.copy(d_residual, dout);
    for (std::size_t b = 0; b < layer_.branches.size(); ++b) {
        auto const& branch = layer_.branches[b];
        Matrix const dxz = pass.first(s.dxz);
        ops_.gemm(dout, false, p_.weight(branch.out_proj), false, pass.first(s.dy), false);
        for (std::size_t m = 0; m < branch.mixers.size(); ++m) {
            scan_backward(pass, b, m);
            if (branch.out_bias != kNone) { ops_.column_sum(dout, p_.gradient(branch.out_bias)); }
        }
        ops_.gemm(dout, true, pass.first(s.y), false, p_.gradient_matrix(branch.out_proj), true);
        ops_.gemm(dxz, true, normed, false, p_.gradient_matrix(branch.in_proj), true);
        if (branch.in_bias != kNone) { ops_.column_sum(dxz, p_.gradient(branch.in_bias)); }
        ops_.gemm(dxz, false, p_.weight(branch.in_proj), false, dnormed, b > 0);
    }
    if (run.dropout > 0) { ops_.dropout(dnormed, run.dropout, run.seed, run.site); }
    ops_.norm_backward(norm_, residual, dnormed, d_residual, true, p_.gradient(layer_.norm_weight),
                       p_.gradient(layer_.norm_bias));
}

/// All of a direction, from the gradient of the gated output back to xz.
void TrainLayer::scan_backward(Pass const& pass, std::size_t branch, std::size_t mixer) {
    auto const& weights = layer_.branches[branch].mixers[mixer];
    auto const& m = pass.kept.branches[branch].mixers[mixer];
    auto& s = pass.s;
    index_t const rank = config_.dt_rank;
    Matrix const dxz = pass.first(s.dxz);
    Matrix const ddbc_n = pass.first(s.ddbc_n);
    Matrix const du = pass.first(s.du);
    Matrix const ddelta = pass.first(s.ddelta);

    ScanBackwardCall scan;
    scan.forward = scan_call(pass, branch, mixer);
    scan.dy = pass.first(s.dy);
    scan.du = du;
    scan.ddelta = ddelta;
    scan.dB = ddbc_n.cols_from(rank, config_.d_state);
    scan.dC = ddbc_n.cols_from(rank + config_.d_state, config_.d_state);
    scan.dz = dxz.cols_from(config_.d_inner, config_.d_inner);
    scan.y = pass.first(s.y);
    scan.accumulate_gate = mixer > 0;
    scan.d_state = pass.run.state.d_scan;
    scan.dA = A_[branch][mixer].dA.as<float>();
    scan.dD = p_.gradient(weights.D);
    scan.ddelta_bias = p_.gradient(weights.dt_bias);
    ops_.scan_backward(scan);

    ops_.gemm(ddelta, true, pass.first(m.dbc_n).cols_from(0, rank), false, p_.gradient_matrix(weights.dt_proj), true);
    ops_.gemm(ddelta, false, p_.weight(weights.dt_proj), false, ddbc_n.cols_from(0, rank), false);
    norm_dbc_backward(m, s, pass.rows);
    Matrix const ddbc = pass.first(s.ddbc);
    ops_.gemm(ddbc, true, pass.first(m.u), false, p_.gradient_matrix(weights.x_proj), true);
    ops_.gemm(ddbc, false, p_.weight(weights.x_proj), false, du, true);

    ConvBackwardCall conv;
    conv.forward = conv_call(pass, branch, mixer);
    conv.dy = du;
    conv.dx = dxz.cols_from(0, config_.d_inner);
    conv.accumulate = mixer > 0;
    conv.d_state = pass.run.state.d_conv;
    conv.dweight = p_.gradient(weights.conv_weight);
    conv.dbias = p_.gradient(weights.conv_bias);
    ops_.conv_backward(conv);
}

} // namespace strandwave
